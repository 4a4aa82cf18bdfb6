// A chat on graphql-ws: a subscription is the membership of a room, a mutation sends to a room, everybody gets an echo.

import { GraphQLError, buildSchema } from 'graphql';
import { CloseCode } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';

import { countingServer, flags, listen, newCounts } from './serving.mjs';

const options = flags({});
const counts = newCounts();
const rooms = new Map(); // room -> its members' queues

const schema = buildSchema(`
  type Message { room: String!, text: String! }
  type Query { rooms: Int! }
  type Mutation { say(room: String!, text: String!): Boolean! }
  type Subscription { messages(room: String!): Message! }
`);

const roots = {
  query: { rooms: () => rooms.size },
  mutation: {
    say({ room, text }) {
      const members = rooms.get(room) ?? new Set();
      counts.messages += 1;
      counts.deliveries += members.size;
      for (const queue of members) queue.push({ messages: { room, text } });
      return true;
    },
  },
  subscription: {
    messages({ room }) {
      if (room === options['refuse-room']) throw new GraphQLError('forbidden');
      return member(room);
    },
  },
};

// Joins a room at once, not with the first `next()`, so that no message after the subscription is missed.
function member(room) {
  const waiting = [];
  let wake = null;
  let left = false;
  const queue = {
    push(message) {
      waiting.push(message);
      wake?.();
    },
  };
  rooms.set(room, (rooms.get(room) ?? new Set()).add(queue));
  counts.members += 1;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      while (!waiting.length && !left) {
        await new Promise((resolve) => { wake = resolve; });
      }
      return left ? { done: true } : { value: waiting.shift(), done: false };
    },
    async return() {
      if (!left) {
        left = true;
        counts.members -= 1;
        rooms.get(room).delete(queue);
        if (!rooms.get(room).size) rooms.delete(room);
        wake?.();
      }
      return { done: true };
    },
  };
}

async function onConnect({ connectionParams }) {
  if (options['never-acknowledge']) await new Promise(() => {});
  return options.token === undefined || connectionParams?.token === options.token; // false: close code 4403
}

const http = countingServer(() => counts);
const sockets = new WebSocketServer({ server: http, path: '/graphql' });
sockets.on('connection', (socket) => {
  counts.clients += 1;
  socket.on('close', (code) => {
    counts.clients -= 1;
    if (code === CloseCode.InternalServerError) console.error(`error: closed with ${code}`);
  });
});
useServer({ schema, roots, onConnect, connectionInitWaitTimeout: 60_000 }, sockets);

listen(http, options.port);
