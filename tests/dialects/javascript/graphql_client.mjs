// Measure a graphql-ws chat with the client of graphql-ws.

import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { measure } from './latencies.mjs';

const JOIN = 'subscription ($room: String!) { messages(room: $room) { text } }';
const SAY = 'mutation ($room: String!, $text: String!) { say(room: $room, text: $text) }';

await measure(async ({ url, room, token, received }) => {
  const client = createClient({
    url: `${url}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { token },
    lazy: false,
    retryAttempts: 0,
    onNonLazyError: (problem) => { throw problem; },
  });
  const run = (query, variables, next) =>
    new Promise((complete, error) => client.subscribe({ query, variables }, { next, error, complete }));
  run(JOIN, { room }, ({ data }) => received(data.messages.text));
  await run('{ rooms }', {}, () => {}); // a subscription has no acknowledgement; its connection answers in order
  return {
    say: (text) => run(SAY, { room, text }, () => {}),
    close: async () => client.dispose(),
  };
});
