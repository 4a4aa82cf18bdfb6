// What the chat servers share: their flags, their counts at GET /counts, and the line that tells their URL.

import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

export function flags(options) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      token: { type: 'string' }, // the only accepted token; without it every client is accepted
      'never-acknowledge': { type: 'boolean', default: false },
      'refuse-room': { type: 'string' },
      ...options,
    },
  });
  return values;
}

// `clients` are connected and `members` are in rooms now; `messages` were accepted, `deliveries` were made.
export function newCounts() {
  return { clients: 0, members: 0, messages: 0, deliveries: 0 };
}

// `metrics` returns the text of a Prometheus page at GET /metrics.
export function countingServer(current, metrics) {
  return createServer(async (request, response) => {
    if (metrics !== undefined && request.url === '/metrics') {
      response.end(await metrics());
      return;
    }
    const found = request.url === '/counts';
    response.writeHead(found ? 200 : 404, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(found ? current() : { error: 'not found' }));
  });
}

export function listen(http, port) {
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
  http.listen({ port: Number(port), host: '127.0.0.1', backlog: 2048 }, () => {
    console.log(`listening on ws://127.0.0.1:${http.address().port}`);
  });
}
