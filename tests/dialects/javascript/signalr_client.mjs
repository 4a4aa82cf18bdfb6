// Measure a SignalR hub with Microsoft's client.

import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';

import { measure } from './latencies.mjs';

await measure(async ({ url, room, token, received }) => {
  const options = {
    transport: HttpTransportType.WebSockets,
    skipNegotiation: true,
    accessTokenFactory: () => token ?? '',
  };
  const hub = new HubConnectionBuilder()
    .withUrl(`${url.replace('ws://', 'http://')}/chat`, options)
    .configureLogging(LogLevel.Warning)
    .build();
  hub.on('ReceiveMessage', (_room, text) => received(text));
  await hub.start();
  await hub.invoke('AddToGroup', room);
  return { say: (text) => hub.send('SendMessage', room, text), close: () => hub.stop() };
});
