// A chat on Socket.IO: a client joins rooms with one event and sends to a room with another.

import { Counter, Gauge, collectDefaultMetrics, register } from 'prom-client';
import { Server } from 'socket.io';

import { countingServer, flags, listen, newCounts } from './serving.mjs';

const options = flags({
  echo: { type: 'boolean', default: false }, // send a message to its sender, too
  metrics: { type: 'boolean', default: false }, // serve the metrics of prom-client
  'ping-seconds': { type: 'string', default: '25' },
  'join-event': { type: 'string', default: 'join' },
  'leave-event': { type: 'string', default: 'leave' },
  'say-event': { type: 'string', default: 'message' },
  'receive-event': { type: 'string', default: 'message' },
});

const counts = { ...newCounts(), accepted: 0 }; // `accepted`: all connections since the start
const http = countingServer(
  () => ({ ...counts, clients: io.of('/').sockets.size, members: members() }),
  options.metrics ? metricsPage() : undefined,
);
const io = new Server(http, { pingInterval: Number(options['ping-seconds']) * 1000, serveClient: false });

function metricsPage() {
  collectDefaultMetrics();
  new Gauge({
    name: 'socket_io_connected',
    help: 'Connected sockets.',
    collect() {
      this.set(io.of('/').sockets.size);
    },
  });
  new Counter({
    name: 'socket_io_events_sent_total',
    help: 'Events sent to sockets.',
    collect() {
      this.reset();
      this.inc(counts.deliveries);
    },
  });
  return () => register.metrics();
}

function members() {
  let sum = 0;
  for (const [room, sockets] of io.of('/').adapter.rooms) if (!io.of('/').sockets.has(room)) sum += sockets.size;
  return sum;
}

function answer(acknowledge, value) {
  if (typeof acknowledge === 'function' && !options['never-acknowledge']) acknowledge(value);
}

if (options.token !== undefined) {
  io.use((socket, next) => next(socket.handshake.auth.token === options.token ? undefined : new Error('invalid token')));
}

io.on('connection', (socket) => {
  counts.accepted += 1;
  socket.on(options['join-event'], (room, acknowledge) => {
    if (room === options['refuse-room']) {
      answer(acknowledge, { error: 'forbidden' });
      return;
    }
    socket.join(room);
    answer(acknowledge, { joined: room });
  });
  socket.on(options['leave-event'], (room, acknowledge) => {
    socket.leave(room);
    answer(acknowledge, { left: room });
  });
  socket.on(options['say-event'], ({ room, text }, acknowledge) => {
    if (!socket.rooms.has(room)) {
      answer(acknowledge, { error: 'not a member' });
      return;
    }
    counts.messages += 1;
    counts.deliveries += io.of('/').adapter.rooms.get(room).size - (options.echo ? 0 : 1);
    (options.echo ? io : socket).to(room).emit(options['receive-event'], { room, text });
    answer(acknowledge, { sent: true });
  });
});

listen(http, options.port);
