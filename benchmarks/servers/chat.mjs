// The chat of the compared JavaScript servers: the validation and the effect of each message. Each server implements
// transport and fan-out, as an object `net` with these functions:
//
//     send(client, message)            to one
//     others(client, room, message)    to the other members of the client's room
//     all(room, message)               to all members of a room
//     everyone(message)                to all chat clients
//     enter(client, room), exit(client, room)
//
// A client is an object of the server with `username` and `room`, both initially null.

import { parseArgs } from 'node:util';

const MAX_TEXT_BYTES = 16 * 1024;
export const MAX_FRAME_BYTES = 6 * MAX_TEXT_BYTES + 1024; // every byte of a full text may be escaped as \u00XX
export const MAX_UNSENT_BYTES = 1024 * 1024;
export const HEARTBEAT_SECONDS = 30;
export const IDLE_SECONDS = 120; // if the server itself pings before that; its default
const PATHS = new Set(['/', '/chat', '/ws/chat']);
const INVALID = { type: 'error', message: 'Invalid message format' };

const isName = (longest) => (v) => typeof v === 'string' && v.length >= 1 && v.length <= longest && !/[\x00-\x1f\x7f-\x9f]/.test(v);
const isText = (v) => typeof v === 'string' && Buffer.byteLength(v) <= MAX_TEXT_BYTES;

const FIELDS = {
  setUsername: [['username', isName(64)]],
  joinRoom: [['room', isName(128)]],
  leaveRoom: [],
  chatMessage: [['text', isText]],
  typing: [],
  chat: [['user', isText], ['text', isText]],
  ping: [],
};

function isValid(message) {
  if (!message || !Object.hasOwn(FIELDS, message.type)) return false;
  for (const [field, valid] of FIELDS[message.type]) {
    if (!valid(message[field])) return false;
  }
  return true;
}

export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export const isChatPath = (path) => PATHS.has(path);

export function options() {
  const { values } = parseArgs({
    options: {
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '0' },
      'presence-threshold': { type: 'string', default: '0' }, // members above which a room gets no presence
    },
  });
  return { host: values.host, port: Number(values.port), threshold: Number(values['presence-threshold']) };
}

export function listening(name, host, port) {
  console.log(`${name} listening on ws://${host}:${port}`);
}

export function conversation(net, threshold) {
  const counts = new Map(); // room -> members
  const isTold = (count) => threshold === 0 || count <= threshold;

  function leave(client) {
    const { room } = client;
    if (room === null) return;
    const userCount = counts.get(room) - 1;
    client.room = null;
    net.exit(client, room);
    if (userCount === 0) counts.delete(room);
    else counts.set(room, userCount);
    if (userCount > 0 && isTold(userCount)) net.all(room, { type: 'userLeft', user: client.username, userCount });
  }

  function join(client, room) {
    leave(client);
    const userCount = (counts.get(room) ?? 0) + 1;
    counts.set(room, userCount);
    client.room = room;
    net.enter(client, room);
    if (isTold(userCount)) net.all(room, { type: 'userJoined', user: client.username, room, userCount });
    net.send(client, { type: 'roomJoined', room, userCount });
  }

  return {
    connect(client, clientId) {
      net.send(client, { type: 'connected', clientId });
    },
    handle(client, message) {
      if (!isValid(message)) {
        net.send(client, INVALID);
        return;
      }
      switch (message.type) {
        case 'chatMessage':
          if (client.room !== null) {
            const { username: user, room } = client;
            net.others(client, room, { type: 'chatMessage', user, text: message.text, timestamp: Date.now() });
          }
          break;
        case 'typing':
          if (client.room !== null) net.others(client, client.room, { type: 'userTyping', user: client.username });
          break;
        case 'ping':
          net.send(client, { type: 'pong', timestamp: message.timestamp, serverTime: Date.now() });
          break;
        case 'setUsername':
          client.username = message.username;
          net.send(client, { type: 'usernameSet', username: message.username });
          break;
        case 'joinRoom':
          join(client, message.room);
          break;
        case 'leaveRoom':
          leave(client);
          break;
        case 'chat':
          net.everyone({ type: 'chat', user: message.user, text: message.text });
          break;
      }
    },
    disconnect: leave,
  };
}
