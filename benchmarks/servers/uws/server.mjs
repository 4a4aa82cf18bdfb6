// The chat on uWebSockets.js: topics and `publish` are native, so a room is a topic.

import { randomUUID } from 'node:crypto';

import uws from '@trufflesuite/uws-js-unofficial';

import { IDLE_SECONDS, MAX_FRAME_BYTES, MAX_UNSENT_BYTES, conversation, isChatPath, listening, options, parse } from '../chat.mjs';

const { host, port, threshold } = options();
const EVERYONE = 'everyone';
const topic = (room) => `room ${room}`;
const app = uws.App();

const chat = conversation(
  {
    send: (client, message) => client.socket.send(JSON.stringify(message), false, false),
    others: (client, room, message) => client.socket.publish(topic(room), JSON.stringify(message), false, false),
    all: (room, message) => app.publish(topic(room), JSON.stringify(message), false, false),
    everyone: (message) => app.publish(EVERYONE, JSON.stringify(message), false, false),
    enter: (client, room) => client.socket.subscribe(topic(room)),
    exit(client, room) {
      if (client.isOpen) client.socket.unsubscribe(topic(room)); // a socket that closed has left its topics
    },
  },
  threshold,
);

app.ws('/*', {
  compression: uws.DISABLED,
  idleTimeout: IDLE_SECONDS,
  sendPingsAutomatically: true,
  maxPayloadLength: MAX_FRAME_BYTES,
  maxBackpressure: MAX_UNSENT_BYTES,
  upgrade(response, request, context) {
    if (!isChatPath(request.getUrl())) {
      response.writeStatus('404 Not Found').end('Not found');
      return;
    }
    response.upgrade(
      { client: null },
      request.getHeader('sec-websocket-key'),
      request.getHeader('sec-websocket-protocol'),
      request.getHeader('sec-websocket-extensions'),
      context,
    );
  },
  open(socket) {
    socket.client = { socket, username: null, room: null, isOpen: true };
    socket.subscribe(EVERYONE);
    chat.connect(socket.client, randomUUID());
  },
  message(socket, data, isBinary) {
    chat.handle(socket.client, isBinary ? null : parse(Buffer.from(data).toString()));
  },
  close(socket) {
    socket.client.isOpen = false;
    chat.disconnect(socket.client);
  },
});
app.get('/health', (response) => response.end('OK'));
app.any('/*', (response) => response.writeStatus('404 Not Found').end('Not found'));

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
app.listen(host, port, (socket) => {
  if (!socket) {
    console.error(`cannot listen on ${host}:${port}`);
    process.exit(2);
  }
  listening('uWebSockets.js', host, uws.us_socket_local_port(socket));
});
