// Measure a chat on Phoenix Channels with Phoenix's client.

import { Socket } from 'phoenix';
import { WebSocket } from 'ws';

import { measure } from './latencies.mjs';

await measure(async ({ url, room, token = '', received }) => {
  const socket = new Socket(`${url}/socket`, { transport: WebSocket, params: { token } });
  socket.connect();
  const channel = socket.channel(`room:${room}`, {});
  channel.on('new_msg', ({ body }) => received(body));
  await new Promise((resolve, reject) => {
    channel.join()
      .receive('ok', resolve)
      .receive('error', ({ reason }) => reject(new Error(reason)))
      .receive('timeout', () => reject(new Error('no answer')));
  });
  return {
    say: (text) => channel.push('new_msg', { body: text }),
    close: async () => {
      await new Promise((resolve) => channel.leave().receive('ok', resolve));
      await new Promise((resolve) => socket.disconnect(resolve));
    },
  };
});
