// A typical chat server on `ws`: one JSON.stringify per broadcast, one `send` per member. It supports the basic protocol
// without Stampede's extensions, like any other server of the protocol.
//
//     node server.mjs [--host 127.0.0.1] [--port 0] [--presence-threshold 0]

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import { WebSocket, WebSocketServer } from 'ws';

const CHAT_PATHS = new Set(['/', '/chat', '/ws/chat']);
const CHUNK_BYTES = 64 * 1024;
const CHUNK_HEADER_BYTES = 4;
const MAX_TEXT_BYTES = 16 * 1024;
const MAX_FRAME_BYTES = 6 * MAX_TEXT_BYTES + 1024; // every byte of a full text may be escaped as \u00XX
const MAX_UPLOAD_BYTES = 25 * 1024 * 1024;
const HEARTBEAT_MS = 30_000;

const { values: options } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    'presence-threshold': { type: 'string', default: '0' }, // members above which a room gets no presence
  },
});

const threshold = Number(options['presence-threshold']);
const isTold = (members) => threshold === 0 || members.size <= threshold;

const clients = new Map(); // socket -> {id, username, room, upload, alive}
const rooms = new Map(); // room name -> Set of sockets

function send(socket, message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function broadcast(members, message, except) {
  const data = JSON.stringify(message);
  for (const client of members) {
    if (client !== except && client.readyState === WebSocket.OPEN) client.send(data);
  }
}

function leave(socket, client) {
  const members = rooms.get(client.room);
  if (!members) return;
  members.delete(socket);
  if (members.size === 0) rooms.delete(client.room);
  if (isTold(members)) broadcast(members, { type: 'userLeft', user: client.username, userCount: members.size });
  client.room = null;
}

function join(socket, client, room) {
  leave(socket, client);
  if (!rooms.has(room)) rooms.set(room, new Set());
  const members = rooms.get(room);
  members.add(socket);
  client.room = room;
  if (isTold(members)) broadcast(members, { type: 'userJoined', user: client.username, room, userCount: members.size });
  send(socket, { type: 'roomJoined', room, userCount: members.size });
}

function toRoom(socket, client, message) {
  const members = rooms.get(client.room);
  if (members) broadcast(members, message, socket);
}

// --- messages: required fields, and effect ---

// eslint-disable-next-line no-control-regex -- this pattern refuses control characters
const isName = (longest) => (v) => typeof v === 'string' && v.length >= 1 && v.length <= longest && !/[\x00-\x1f\x7f-\x9f]/.test(v);
const isText = (v) => typeof v === 'string' && Buffer.byteLength(v) <= MAX_TEXT_BYTES;
const isSize = (v) => Number.isSafeInteger(v) && v >= 0 && v <= MAX_UPLOAD_BYTES;

const MESSAGES = {
  setUsername: {
    fields: { username: isName(64) },
    handle(socket, client, { username }) {
      client.username = username;
      send(socket, { type: 'usernameSet', username });
    },
  },
  joinRoom: {
    fields: { room: isName(128) },
    handle: (socket, client, { room }) => join(socket, client, room),
  },
  leaveRoom: { fields: {}, handle: leave },
  chatMessage: {
    fields: { text: isText },
    handle: (socket, client, { text }) =>
      toRoom(socket, client, { type: 'chatMessage', user: client.username, text, timestamp: Date.now() }),
  },
  typing: {
    fields: {},
    handle: (socket, client) => toRoom(socket, client, { type: 'userTyping', user: client.username }),
  },
  chat: {
    fields: { user: isText, text: isText },
    handle: (_socket, _client, { user, text }) => broadcast(clients.keys(), { type: 'chat', user, text }),
  },
  ping: {
    fields: {},
    handle: (socket, _client, { timestamp }) => send(socket, { type: 'pong', timestamp, serverTime: Date.now() }),
  },
  fileStart: {
    fields: { name: isText, size: isSize, mimeType: isText },
    handle(_socket, client, { size }) {
      client.upload = { chunks: new Set(), count: Math.ceil(size / CHUNK_BYTES) };
    },
  },
  fileEnd: {
    fields: {},
    handle(_socket, client) {
      client.upload = null;
    },
  },
};

function onText(socket, client, data) {
  let message;
  try {
    message = JSON.parse(data);
  } catch {
    message = null;
  }
  const known = message && Object.hasOwn(MESSAGES, message.type) ? MESSAGES[message.type] : null;
  if (!known || !Object.entries(known.fields).every(([field, valid]) => valid(message[field]))) {
    send(socket, { type: 'error', message: 'Invalid message format' });
    return;
  }
  known.handle(socket, client, message);
}

// The content is discarded; only its size is compared with the announced one.
function onChunk(socket, client, data) {
  const { upload } = client;
  const index = data.length >= CHUNK_HEADER_BYTES ? data.readUInt32BE(0) : -1;
  if (!upload || index < 0 || index >= upload.count || upload.chunks.has(index)) {
    send(socket, { type: 'error', message: 'Invalid message format' });
    return;
  }
  upload.chunks.add(index);
}

// --- HTTP, upgrades, start and shutdown ---

const http = createServer((request, response) => {
  const healthy = request.method === 'GET' && request.url === '/health';
  response.writeHead(healthy ? 200 : 404, { 'Content-Type': 'text/plain' });
  response.end(healthy ? 'OK' : 'Not found');
});
const chat = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES, perMessageDeflate: false });

http.on('upgrade', (request, socket, head) => {
  if (!CHAT_PATHS.has(request.url.split('?')[0])) {
    socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    return;
  }
  chat.handleUpgrade(request, socket, head, (upgraded) => chat.emit('connection', upgraded));
});

chat.on('connection', (socket) => {
  const client = { id: randomUUID(), username: null, room: null, upload: null, alive: true };
  clients.set(socket, client);
  socket.on('message', (data, isBinary) => {
    client.alive = true;
    if (isBinary) onChunk(socket, client, data);
    else onText(socket, client, data);
  });
  socket.on('pong', () => {
    client.alive = true;
  });
  socket.on('error', () => socket.terminate()); // a broken frame; `close` follows
  socket.on('close', () => {
    clients.delete(socket);
    leave(socket, client);
  });
  send(socket, { type: 'connected', clientId: client.id });
});

const heartbeat = setInterval(() => {
  for (const [socket, client] of clients) {
    if (!client.alive) {
      socket.terminate();
      continue;
    }
    client.alive = false;
    socket.ping();
  }
}, HEARTBEAT_MS);

function stop() {
  clearInterval(heartbeat);
  for (const socket of clients.keys()) socket.terminate();
  http.close(() => process.exit(0));
  http.closeAllConnections();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

http.on('error', (problem) => {
  console.error(`cannot listen on ${options.host}:${options.port}: ${problem.code ?? problem.message}`);
  process.exit(2);
});
http.listen(Number(options.port), options.host, () => {
  console.log(`Plain peer listening on ws://${options.host}:${http.address().port}`);
});
