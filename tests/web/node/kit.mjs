// Helpers of the client's tests: a real server, a scripted server, a faulty link, and waiting for conditions.

import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { WebSocket, WebSocketServer } from "ws";

import { ChatClient } from "./web/chat-client.js";

const TIMEOUT_MS = 60_000; // for a busy machine

/** Wait until a condition is true. */
export async function until(condition, what) {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited too long for ${what}`);
    await sleep(5);
  }
}

/** Return a free port outside the range of outgoing connections, so that a restarted server can use it again. */
export async function steadyPort() {
  for (;;) {
    const port = 10_000 + Math.floor(20_000 * Math.random()); // below the ephemeral ports
    const probe = net.createServer().listen(port, "127.0.0.1");
    try {
      await once(probe, "listening");
    } catch {
      continue; // in use
    }
    probe.close();
    await once(probe, "close");
    return port;
  }
}

/** Start the real server; it is stopped at the end of the test. */
export async function stampede(test, { port = 0, flags = [] } = {}) {
  const { STAMPEDE_PYTHON, STAMPEDE_ROOT, STAMPEDE_UPLOADS } = process.env;
  const own = ["--port", port, "--upload-dir", STAMPEDE_UPLOADS, "--drain-seconds", "0", ...flags];
  const child = spawn(STAMPEDE_PYTHON, ["-m", "server", ...own.map(String)], {
    cwd: STAMPEDE_ROOT,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = once(child, "exit");
  const stop = async (signal) => {
    child.kill(signal);
    await ended;
  };
  test.after(() => stop("SIGKILL"));
  const [line] = await once(createInterface(child.stdout), "line");
  const found = /:(\d+)/.exec(line);
  return { port: Number(found[1]), url: `ws://127.0.0.1:${found[1]}/ws/chat`, stop };
}

/**
 * Start a scripted server, for behaviour that the real one does not show; `script` is called for each connection.
 *
 * `greeting` is added to its `connected` message; null: it does not send one.
 */
export async function scripted(test, script, greeting = {}) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  let connections = 0;
  server.on("connection", (socket, request) => {
    connections += 1;
    const send = (message) => socket.send(JSON.stringify(message));
    socket.on("message", (data, isBinary) => {
      const message = isBinary ? { type: "binary" } : JSON.parse(data);
      if (message.type === "ping") send({ type: "pong", timestamp: message.timestamp, serverTime: Date.now() });
      socket.emit("request", message);
    });
    if (greeting) send({ type: "connected", clientId: String(connections), ...greeting });
    script?.({ socket, send, number: connections, target: request.url });
  });
  test.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return { url: `ws://127.0.0.1:${server.address().port}`, count: () => connections };
}

/** Start a proxy to a server that can stop forwarding without closing, or limit the bytes per second to the server. */
export async function faultyLink(test, port) {
  const pairs = new Set();
  const link = { silent: false, bytesPerSecond: Infinity };
  const proxy = net.createServer((near) => {
    const far = net.connect(port, "127.0.0.1");
    const pair = [near, far];
    pairs.add(pair);
    far.on("data", (data) => link.silent || near.write(data));
    near.on("data", async (data) => {
      if (link.silent) return near.pause();
      far.write(data);
      if (link.bytesPerSecond === Infinity) return undefined;
      near.pause();
      await sleep((1000 * data.length) / link.bytesPerSecond);
      return near.resume();
    });
    for (const [one, other] of [pair, [far, near]]) {
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  test.after(() => {
    for (const pair of pairs) for (const end of pair) end.destroy();
    proxy.close();
  });
  link.url = `ws://127.0.0.1:${proxy.address().port}/ws/chat`;
  return link;
}

/** Return a client that records its events in `seen`; `of(type)` returns the details of one type. */
export function recordingClient(test, url, options = {}) {
  const client = new ChatClient(url, { WebSocket, firstRetryMs: 20, longestRetryMs: 200, settleMs: 2000, ...options });
  const seen = [];
  const kinds = ["state", "connected", "disconnected", "latency", "delivery", "usernameSet", "roomJoined", "roomLeft"];
  kinds.push("userJoined", "userLeft", "message", "typing", "fileSaved", "fileShared", "fileProgress", "error");
  for (const kind of kinds) client.addEventListener(kind, ({ detail }) => seen.push([kind, detail]));
  test.after(() => client.disconnect());
  const of = (kind) => seen.filter(([name]) => name === kind).map(([, detail]) => detail);
  return Object.assign(client, { seen, of });
}

/** Return a connected client with a name, in a room. */
export async function inRoom(test, url, name, room, options) {
  const client = recordingClient(test, url, options);
  client.setUsername(name);
  client.joinRoom(room);
  client.connect();
  await until(() => client.of("roomJoined").length, `${name} to be in ${room}`);
  return client;
}

export const texts = (client) => client.of("message").map(({ text }) => text);
export const closed = (client) => client.of("disconnected").map(({ code }) => code);
