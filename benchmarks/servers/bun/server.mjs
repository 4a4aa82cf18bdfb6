// The chat on Bun: topics and `publish` are native, so a room is a topic.

import { randomUUID } from 'node:crypto';

import { IDLE_SECONDS, MAX_FRAME_BYTES, MAX_UNSENT_BYTES, conversation, isChatPath, listening, options, parse } from '../chat.mjs';

const { host, port, threshold } = options();
const EVERYONE = 'everyone';
const topic = (room) => `room ${room}`;

const chat = conversation(
  {
    send: (client, message) => client.socket.send(JSON.stringify(message)),
    others: (client, room, message) => client.socket.publish(topic(room), JSON.stringify(message)),
    all: (room, message) => server.publish(topic(room), JSON.stringify(message)),
    everyone: (message) => server.publish(EVERYONE, JSON.stringify(message)),
    enter: (client, room) => client.socket.subscribe(topic(room)),
    exit: (client, room) => client.socket.unsubscribe(topic(room)),
  },
  threshold,
);

const server = Bun.serve({
  hostname: host,
  port,
  fetch(request, server) {
    const path = new URL(request.url).pathname;
    if (path === '/health') return new Response('OK');
    const data = { socket: null, username: null, room: null };
    if (isChatPath(path) && server.upgrade(request, { data })) return undefined;
    return new Response('Not found', { status: 404 });
  },
  websocket: {
    perMessageDeflate: false,
    publishToSelf: false,
    sendPings: true,
    idleTimeout: IDLE_SECONDS,
    maxPayloadLength: MAX_FRAME_BYTES,
    backpressureLimit: MAX_UNSENT_BYTES,
    open(socket) {
      socket.data.socket = socket;
      socket.subscribe(EVERYONE);
      chat.connect(socket.data, randomUUID());
    },
    message(socket, data) {
      chat.handle(socket.data, typeof data === 'string' ? parse(data) : null);
    },
    close(socket) {
      chat.disconnect(socket.data);
    },
  },
});

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
listening('Bun', host, server.port);
