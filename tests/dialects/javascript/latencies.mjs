// Measure a chat server with a client library: one client sends at a fixed interval, others in the same room receive.

import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const PREFIX = 'latency-';
const LAST_DELIVERY_MS = 60_000;

// `connect({ url, room, token, received })` joins the room and resolves to `{ say(text), close() }`. It calls `received`
// with each text that arrives. Prints the latencies as JSON.
export async function measure(connect) {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      room: { type: 'string', default: 'latencies' },
      texts: { type: 'string', default: '20' },
      interval: { type: 'string', default: '0.05' }, // seconds
      receivers: { type: 'string', default: '1' },
      token: { type: 'string' },
    },
  });
  const { url, room, token } = values;
  const texts = Number(values.texts);
  const expected = texts * Number(values.receivers);
  const sent = [];
  const latencies = [];
  let allReceived;
  const all = new Promise((resolve) => { allReceived = resolve; });

  const received = (text) => {
    if (!text.startsWith(PREFIX)) return; // of other users
    latencies.push(performance.now() - sent[Number(text.slice(PREFIX.length))]);
    if (latencies.length === expected) allReceived();
  };
  const clients = [];
  for (let n = 0; n < Number(values.receivers); n++) clients.push(await connect({ url, room, token, received }));
  const sender = await connect({ url, room, token, received: () => {} });
  clients.push(sender);
  const start = performance.now();
  for (let n = 0; n < texts; n++) {
    await sleep(Math.max(0, start + n * Number(values.interval) * 1000 - performance.now()));
    sent.push(performance.now());
    sender.say(`${PREFIX}${n}`);
  }
  if (expected) await Promise.race([all, sleep(LAST_DELIVERY_MS, undefined, { ref: false })]);
  for (const client of clients) await client.close();
  latencies.sort((a, b) => a - b);
  const quantile = (q) => latencies[Math.floor(q * (latencies.length - 1))] ?? null;
  const measured = { p10_ms: quantile(0.1), median_ms: quantile(0.5), p95_ms: quantile(0.95) };
  console.log(JSON.stringify({ sent: texts, received: latencies.length, ...measured }));
}
