// The chat on Socket.IO: every message is an event named `message` with the chat's JSON object as its only argument. The
// same conversation is compared in Socket.IO's framing, over WebSocket only, without polling.

import { createServer } from 'node:http';

import { Server } from 'socket.io';

import { HEARTBEAT_SECONDS, MAX_FRAME_BYTES, conversation, listening, options } from '../chat.mjs';

const { host, port, threshold } = options();

const http = createServer((request, response) => {
  const healthy = request.url === '/health';
  response.writeHead(healthy ? 200 : 404, { 'Content-Type': 'text/plain' });
  response.end(healthy ? 'OK' : 'Not found');
});
const io = new Server(http, {
  transports: ['websocket'],
  serveClient: false,
  perMessageDeflate: false,
  pingInterval: HEARTBEAT_SECONDS * 1000,
  maxHttpBufferSize: MAX_FRAME_BYTES,
});

const chat = conversation(
  {
    send: (client, message) => client.socket.emit('message', message),
    others: (client, room, message) => client.socket.to(room).emit('message', message),
    all: (room, message) => io.to(room).emit('message', message),
    everyone: (message) => io.emit('message', message),
    enter: (client, room) => client.socket.join(room),
    exit: (client, room) => client.socket.leave(room),
  },
  threshold,
);

io.on('connection', (socket) => {
  const client = { socket, username: null, room: null };
  socket.on('message', (message) => chat.handle(client, message));
  socket.on('disconnect', () => chat.disconnect(client));
  chat.connect(client, socket.id);
});

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
http.on('error', (problem) => {
  console.error(`cannot listen on ${host}:${port}: ${problem.code ?? problem.message}`);
  process.exit(2);
});
http.listen(port, host, () => listening('Socket.IO', host, http.address().port));
