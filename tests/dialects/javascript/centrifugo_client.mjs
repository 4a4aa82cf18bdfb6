// Measure a chat on Centrifugo with its client.

import { Centrifuge } from 'centrifuge';
import { WebSocket } from 'ws';

import { measure } from './latencies.mjs';

await measure(async ({ url, room, token = '', received }) => {
  const client = new Centrifuge(`${url}/connection/websocket`, { websocket: WebSocket, token });
  const subscription = client.newSubscription(room);
  subscription.on('publication', ({ data }) => received(data.text));
  subscription.subscribe();
  client.connect();
  await subscription.ready(10_000);
  const published = [];
  return {
    say: (text) => published.push(subscription.publish({ text })),
    close: async () => {
      await Promise.all(published);
      const unsubscribed = new Promise((resolve) => subscription.once('unsubscribed', resolve));
      subscription.unsubscribe();
      await unsubscribed;
      client.disconnect();
    },
  };
});
