// Faults: a server that is down, draining, full or wrong; a link that is dead or slow.

import assert from "node:assert/strict";
import net from "node:net";
import { once } from "node:events";
import { test } from "node:test";

import { DEAD } from "./web/chat-client.js";
import { faultyLink, recordingClient, closed, inRoom, scripted, stampede, steadyPort, texts, until } from "./kit.mjs";

test("after a restart of the server all are in the room again, and queued texts arrive once", async (t) => {
  const first = await stampede(t, { port: await steadyPort() });
  const ann = await inRoom(t, first.url, "ann", "red", { settleMs: 600_000 }); // long enough for bob to rejoin
  const bob = await inRoom(t, first.url, "bob", "red");
  await until(() => ann.of("userJoined").length === 2, "bob to be seen");
  await first.stop("SIGKILL");
  await until(() => ann.state === "waiting" && bob.state !== "open", "the loss to be noticed");
  const said = Array.from({ length: 20 }, (_, number) => `while away ${number}`);
  for (const text of said) ann.sendMessage(text);
  await stampede(t, { port: first.port });
  await until(() => texts(bob).length >= said.length, "the texts");
  ann.sendMessage("last");
  await until(() => texts(bob).includes("last"), "what came after");
  assert.deepEqual(texts(bob), [...said, "last"]);
  assert.equal(bob.of("roomJoined").length, 2);
  assert.deepEqual(new Set(bob.of("message").map(({ user }) => user)), new Set(["ann"]));
});

test("texts in flight when the connection is lost are uncertain and not sent again", async (t) => {
  const received = [];
  const { url } = await scripted(t, ({ socket, number }) => {
    socket.on("request", ({ type, text }) => {
      if (type !== "chatMessage") return;
      received.push(text);
      if (number === 1) socket.terminate();
    });
  });
  const ann = recordingClient(t, url, { confirmMs: 60_000, settleMs: 0 });
  ann.joinRoom("red");
  ann.connect();
  const id = ann.sendMessage("half way");
  await until(() => ann.of("connected").length === 2, "the second connection");
  ann.sendMessage("after");
  await until(() => received.includes("after"), "what came after");
  assert.deepEqual(received, ["half way", "after"]);
  assert.deepEqual(ann.of("delivery").slice(0, 2), [{ id, status: "sent" }, { id, status: "uncertain" }]);
});

for (const [rejoins, settleMs] of [[true, 600_000], [false, 300]]) {
  test(`after a restart queued texts wait for the other members${rejoins ? "" : ", but not for ever"}`, async (t) => {
    const received = [];
    const at = {};
    let bobRejoins;
    const { url } = await scripted(t, ({ socket, send, number }) => {
      socket.on("request", ({ type, room, text }) => {
        if (type !== "ping") received.push(text ?? type);
        at[type] = performance.now();
        if (type !== "joinRoom") return;
        send({ type: "roomJoined", room, userCount: number === 1 ? 2 : 1 });
        if (number === 1) socket.close(1012, "restart retry_ms=50");
        bobRejoins = () => send({ type: "userJoined", user: "bob", room, userCount: 2 });
      });
    });
    const ann = recordingClient(t, url, { settleMs });
    ann.addEventListener("disconnected", () => ann.sendMessage("hello again"), { once: true });
    ann.joinRoom("red");
    ann.connect();
    await until(() => ann.of("roomJoined").length === 2, "the room");
    if (rejoins) {
      ann.setUsername("ann"); // is received after all earlier messages
      await until(() => received.includes("setUsername"), "the name");
      assert.deepEqual(received, ["joinRoom", "joinRoom", "setUsername"], "no other member is there yet");
      bobRejoins();
    }
    await until(() => at.chatMessage, "the text");
    assert.deepEqual(received, ["joinRoom", "joinRoom", ...(rejoins ? ["setUsername"] : []), "hello again"]);
    assert.ok(rejoins || at.chatMessage - at.joinRoom >= settleMs, "other members had time to rejoin");
  });
}

test("the client reconnects exactly after the server's retry_ms", async (t) => {
  const server = await stampede(t);
  const ann = await inRoom(t, server.url, "ann", "red", { random: () => 0 });
  const closing = once(ann, "disconnected").then(() => performance.now()); // the end of the server may take longer
  await server.stop("SIGTERM");
  const told = await closing;
  const [{ code, reason, retryMs }] = ann.of("disconnected");
  assert.equal(code, 1012);
  assert.equal(retryMs, Number(/retry_ms=(\d+)/.exec(reason)[1]));
  assert.ok(retryMs >= 500, "the server sets it, not the random backoff of 0");
  await until(() => ann.state === "connecting" || ann.of("disconnected").length > 1, "the attempt");
  assert.ok(performance.now() - told >= retryMs - 60, "not before retry_ms");
});

for (const [code, comesBack] of Object.entries({ 1000: false, 1001: true, 1007: false, 1008: false, 1009: false, 1011: true, 1012: true, 1013: true })) {
  test(`close code ${code} ${comesBack ? "reconnects" : "is final"}`, async (t) => {
    const server = await scripted(t, ({ socket, number }) => number === 1 && socket.close(Number(code), "so it is"));
    const ann = recordingClient(t, server.url);
    ann.connect();
    await until(() => ann.of("disconnected").length, "the end");
    assert.equal(ann.of("disconnected")[0].code, Number(code));
    assert.equal(ann.of("disconnected")[0].reason, "so it is");
    assert.equal(ann.of("disconnected")[0].retryMs !== null, comesBack);
    if (comesBack) await until(() => ann.state === "open", "the second connection");
    else assert.equal(ann.state, "closed");
    assert.equal(server.count(), comesBack ? 2 : 1);
  });
}

test("delays are random up to a bound that doubles, and attempts never end", async (t) => {
  const unused = net.createServer().listen(0, "127.0.0.1");
  await once(unused, "listening");
  const { port } = unused.address();
  unused.close();
  await once(unused, "close");
  const draws = [1, 0.5, 0.25, 1, 1, 1, 1, 0];
  const values = [...draws];
  const ann = recordingClient(t, `ws://127.0.0.1:${port}`, { random: () => values.shift() ?? 0, firstRetryMs: 4, longestRetryMs: 64 });
  ann.connect();
  await until(() => ann.of("disconnected").length >= 12, "a dozen attempts");
  const delays = ann.of("disconnected").map(({ retryMs }) => retryMs);
  assert.deepEqual(delays.slice(0, draws.length), draws.map((draw, failure) => draw * Math.min(64, 4 * 2 ** failure)));
  assert.ok(delays.every((delay) => delay !== null));
});

test("attempts end at maxRetries, and delays are longer after an overload", async (t) => {
  const server = await scripted(t, ({ socket }) => socket.close(1013, "full"));
  const ann = recordingClient(t, server.url, { maxRetries: 4, random: () => 1, firstRetryMs: 1, longestRetryMs: 1000 });
  ann.connect();
  await until(() => ann.state === "closed", "the end");
  assert.deepEqual(ann.of("disconnected").map(({ retryMs }) => retryMs), [8, null]);
});

test("a silent link is detected, and the next connection works", async (t) => {
  const server = await stampede(t);
  const link = await faultyLink(t, server.port);
  const ann = await inRoom(t, link.url, "ann", "red", { pingMs: 100, deadMs: 4_000 });
  await until(() => ann.of("latency").length > 3, "pings");
  assert.deepEqual(closed(ann), [], "a working link stays open");
  link.silent = true;
  await until(() => closed(ann).length, "the end");
  assert.equal(closed(ann)[0], DEAD);
  link.silent = false;
  await until(() => ann.of("roomJoined").length >= 2, "the room");
});

test("an attempt without an answer times out", async (t) => {
  const mute = net.createServer((socket) => t.after(() => socket.destroy())).listen(0, "127.0.0.1");
  await once(mute, "listening");
  t.after(() => mute.close());
  const ann = recordingClient(t, `ws://127.0.0.1:${mute.address().port}`, { connectMs: 50 });
  ann.connect();
  await until(() => closed(ann).length >= 2, "two attempts");
  assert.deepEqual(closed(ann).slice(0, 2), [DEAD, DEAD]);
});

test("on a slow link an upload does not count as silence and is not buffered in memory", async (t) => {
  const server = await stampede(t);
  const link = await faultyLink(t, server.port);
  link.bytesPerSecond = 375_000;
  // A ping is queued behind the chunks for longer than `deadMs`, but `fileProgress` messages arrive.
  const deadMs = 4_000; // longer than any stall of the machine
  const ann = await inRoom(t, link.url, "ann", "red", { pingMs: 1_200, deadMs, maxBuffered: 128 * 1024 });
  const size = 4_000_000;
  const told = [];
  const saved = await ann.sendFile(new Blob([new Uint8Array(size).fill(7)]), { onProgress: (at) => told.push(at.loaded) });
  assert.equal(saved.size, size);
  assert.deepEqual(closed(ann), []);
  assert.ok(told.length > size / (64 * 1024));
  assert.equal(told.at(-1), size);
  assert.ok(Math.max(...ann.of("latency").map(({ ms }) => ms)) > deadMs, "the link was not slow enough to tell");
});
