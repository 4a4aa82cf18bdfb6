// Measure a chat on Action Cable with @rails/actioncable, which is made for browsers.

import { WebSocket } from 'ws';

globalThis.addEventListener = globalThis.removeEventListener = () => {};
globalThis.document = { visibilityState: 'visible' };

const { adapters, createConsumer } = await import('@rails/actioncable');
const { measure } = await import('./latencies.mjs');

adapters.WebSocket = WebSocket;

await measure(async ({ url, room, token = '', received }) => {
  const consumer = createConsumer(`${url}/cable?token=${encodeURIComponent(token)}`);
  const subscription = await new Promise((resolve, reject) => {
    const created = consumer.subscriptions.create({ channel: 'ChatChannel', room }, {
      connected: () => resolve(created),
      rejected: () => reject(new Error('rejected')),
      disconnected: ({ willAttemptReconnect }) => willAttemptReconnect || reject(new Error('disconnected')),
      received: ({ text }) => received(text),
    });
  });
  return {
    say: (text) => subscription.perform('speak', { text }),
    close: () => consumer.disconnect(),
  };
});
