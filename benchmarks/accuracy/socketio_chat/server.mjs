// A chat on Socket.IO with a known limit. `--work SECONDS`: each message takes that much CPU time of this process, with
// everything that Node and Socket.IO do for it. `--rate RATE`: at most that many messages a second; later ones wait.

import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import { Server } from 'socket.io';

const { values } = parseArgs({
  options: { work: { type: 'string', default: '0' }, rate: { type: 'string', default: 'Infinity' } },
});
const workMicroseconds = Number(values.work) * 1e6;
const intervalMilliseconds = 1000 / Number(values.rate);
let usedMicroseconds = 0; // CPU time at the end of the previous message
let freeAt = 0; // when the next message may be published

function cpuMicroseconds() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

// The CPU time since the previous message counts, so that a full core processes exactly 1 / SECONDS messages a second.
function work() {
  while (cpuMicroseconds() - usedMicroseconds < workMicroseconds);
  usedMicroseconds = cpuMicroseconds();
}

function schedule(publish) {
  const now = performance.now();
  freeAt = Math.max(freeAt, now) + intervalMilliseconds;
  if (freeAt > now) setTimeout(publish, freeAt - now);
  else publish();
}

const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, { serveClient: false });

io.on('connection', (socket) => {
  socket.on('join', (room) => socket.join(room));
  socket.on('message', ({ room, text }) => {
    work();
    schedule(() => socket.to(room).emit('message', { room, text }));
  });
});

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
http.listen(0, '127.0.0.1', () => console.log(`listening on ws://127.0.0.1:${http.address().port}`));
