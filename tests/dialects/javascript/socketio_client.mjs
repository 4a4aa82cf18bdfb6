// Measure a Socket.IO chat with socket.io-client.

import { io } from 'socket.io-client';

import { measure } from './latencies.mjs';

await measure(async ({ url, room, token, received }) => {
  const socket = io(url.replace('ws://', 'http://'), { transports: ['websocket'], auth: { token }, forceNew: true });
  socket.on('message', ({ text }) => received(text));
  const failed = new Promise((_, reject) => socket.once('connect_error', reject));
  await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), failed]);
  await socket.emitWithAck('join', room);
  return {
    say: (text) => socket.emit('message', { room, text }),
    close: async () => {
      socket.disconnect();
    },
  };
});
