// Measure a chat on Pusher Channels with Pusher's client. Its client events do not return to their sender.

import Pusher from 'pusher-js';

import { measure } from './latencies.mjs';

await measure(async ({ url, room, token, received }) => {
  const { hostname, port } = new URL(url);
  const pusher = new Pusher('app-key', {
    wsHost: hostname,
    wsPort: port,
    cluster: '',
    forceTLS: false,
    enabledTransports: ['ws'],
    disableStats: true,
    channelAuthorization: {
      endpoint: `http://${hostname}:${port}/pusher/auth`,
      headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
    },
  });
  const channel = pusher.subscribe(`private-${room}`);
  channel.bind('client-message', ({ text }) => received(text));
  await new Promise((resolve, reject) => {
    channel.bind('pusher:subscription_succeeded', resolve);
    channel.bind('pusher:subscription_error', ({ error }) => reject(new Error(error)));
  });
  return {
    say: (text) => channel.trigger('client-message', { text }),
    close: async () => pusher.disconnect(),
  };
});
