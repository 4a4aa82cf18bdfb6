// Measure a STOMP broker with @stomp/stompjs.

import { Client } from '@stomp/stompjs';
import { WebSocket } from 'ws';

import { measure } from './latencies.mjs';

await measure(async ({ url, room, token = 'guest', received }) => {
  const destination = `/topic/${room}`;
  const client = new Client({
    webSocketFactory: () => new WebSocket(`${url}/ws`, ['v12.stomp']),
    connectHeaders: { login: 'guest', passcode: token, host: '/' },
    reconnectDelay: 0,
  });
  await new Promise((resolve, reject) => {
    client.onConnect = resolve;
    client.onStompError = (frame) => reject(new Error(frame.headers.message));
    client.onWebSocketError = (event) => reject(new Error(event.message));
    client.activate();
  });
  const subscribed = new Promise((resolve) => client.watchForReceipt('subscribed', resolve));
  client.subscribe(destination, (message) => received(message.body), { receipt: 'subscribed' });
  await subscribed;
  return {
    say: (text) => client.publish({ destination, body: text }),
    close: () => client.deactivate(),
  };
});
