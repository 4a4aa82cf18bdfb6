// The client: messages, queue, rate limit, names; against the real server where possible.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DEFAULTS } from "./web/chat-util.js";
import { recordingClient, inRoom, scripted, stampede, texts, until } from "./kit.mjs";

test("handlers and listeners receive the same events", async (t) => {
  const { url } = await stampede(t);
  const [ann, bob] = [await inRoom(t, url, "ann", "red"), await inRoom(t, url, "bob", "red")];
  const received = [];
  bob.onMessage = (detail) => received.push(detail);
  bob.onTyping = (detail) => received.push(detail);
  assert.equal(ann.sendTyping(), true);
  assert.equal(ann.sendTyping(), false, "repeated too soon");
  const id = ann.sendMessage("hello");
  await until(() => received.length === 2, "both");
  assert.deepEqual(received, [...bob.of("typing"), ...bob.of("message")]);
  assert.equal(received[1].text, "hello");
  await until(() => ann.of("delivery").length === 2, "the confirmation");
  assert.deepEqual(ann.of("delivery"), [{ id, status: "sent" }, { id, status: "confirmed" }]);
  assert.ok(ann.latency > 0);
  ann.leaveRoom();
  await until(() => bob.of("userLeft").length, "the close");
});

test("texts sent without a connection are queued", async (t) => {
  const { url } = await stampede(t);
  const bob = await inRoom(t, url, "bob", "red");
  const ann = recordingClient(t, url);
  ann.setUsername("ann");
  ann.joinRoom("red");
  for (const text of ["one", "two", "three"]) assert.ok(ann.sendMessage(text) > 0);
  assert.equal(ann.sendTyping(), false, "typing is not queued");
  assert.equal(ann.queued, 3);
  ann.connect();
  await until(() => texts(bob).length === 3, "the texts");
  assert.deepEqual(texts(bob), ["one", "two", "three"]);
  assert.deepEqual(bob.of("typing"), []);
});

test("a queued text is sent to the room for which it was sent", async (t) => {
  const { url } = await stampede(t);
  const [red, blue] = [await inRoom(t, url, "r", "red"), await inRoom(t, url, "b", "blue")];
  const ann = recordingClient(t, url);
  ann.joinRoom("red");
  ann.sendMessage("for red");
  ann.joinRoom("blue");
  ann.sendMessage("for blue");
  ann.connect();
  await until(() => texts(red).length && texts(blue).length, "both texts");
  assert.deepEqual([texts(red), texts(blue)], [["for red"], ["for blue"]]);
});

test("the default rate stays below the server's limit", () => {
  const { STAMPEDE_BURST, STAMPEDE_MESSAGE_RATE } = process.env;
  assert.ok(DEFAULTS.burst < Number(STAMPEDE_BURST));
  assert.ok(DEFAULTS.messagesPerSecond < Number(STAMPEDE_MESSAGE_RATE));
});

test("a burst is slowed to the server's rate: nothing is dropped or reordered", async (t) => {
  const { url } = await stampede(t);
  // The server counts when it reads. On a busy machine it reads more at once, so half of its burst is left free.
  const ann = await inRoom(t, url, "ann", "red", { burst: 40 });
  const bob = await inRoom(t, url, "bob", "red");
  const said = Array.from({ length: 160 }, (_, number) => `message ${number}`);
  for (const text of said) ann.sendMessage(text);
  assert.ok(ann.queued > 0);
  await until(() => texts(bob).length === said.length, "all of them");
  assert.deepEqual(texts(bob), said);
  assert.deepEqual(ann.of("error"), []);
  await until(() => ann.of("delivery").filter(({ status }) => status === "confirmed").length === said.length, "confirmations");
});

test("the queue is bounded, and a full queue is reported", (t) => {
  const ann = recordingClient(t, "ws://127.0.0.1:1", { maxQueued: 2 });
  ann.joinRoom("red");
  assert.deepEqual([ann.sendMessage("a") > 0, ann.sendMessage("b") > 0, ann.sendMessage("c")], [true, true, 0]);
  assert.equal(ann.queued, 2);
});

const DECEPTIVE = ["   ", "\u3000", "\u200b", "\u3164", "\u202e", "\u2800", "ann\u200b", "\u202eann", "a\u200enn", "ann\ufe0f", "ann\ue000"];
const REAL = ["ann", "Amber Bison", "José", "Jose\u0301", "محمد", "\u0645\u06cc\u200c\u062e", "👩\u200d💻", "❤\ufe0f", "1\ufe0f\u20e3", "\u845b\u{e0100}"];

test("names and texts that the server would refuse are errors", (t) => {
  const ann = recordingClient(t, "ws://127.0.0.1:1");
  for (const name of ["", "x".repeat(65), "a\nb", "\ud800", undefined, ...DECEPTIVE]) {
    assert.throws(() => ann.setUsername(name), RangeError, JSON.stringify(name));
  }
  ann.setUsername("🐃".repeat(64));
  for (const name of REAL) ann.setUsername(name);
  assert.throws(() => ann.joinRoom("x".repeat(129)), RangeError);
  assert.throws(() => ann.sendMessage("nowhere"), /join a room/);
  ann.joinRoom("red");
  assert.throws(() => ann.sendMessage("é".repeat(8193)), RangeError);
  assert.ok(ann.sendMessage("é".repeat(8192)));
});

test("messages outside the protocol are ignored", async (t) => {
  const { url } = await scripted(t, ({ socket, send }) => {
    for (const data of ["{", "null", "[]", '"x"', '{"type":"toString"}', '{"type":"someday"}']) socket.send(data);
    socket.send(Buffer.from([1, 2, 3]));
    send({ type: "chatMessage", user: "bob", text: "after all that", timestamp: 1 });
  });
  const ann = recordingClient(t, url);
  ann.connect();
  await until(() => texts(ann).length, "the message");
  assert.equal(ann.state, "open");
});

test("a dropped message is uncertain, and the room is joined again", async (t) => {
  const joins = [];
  const { url } = await scripted(t, ({ socket, send }) => {
    socket.on("request", (message) => {
      if (message.type === "joinRoom") joins.push(message.room);
      if (message.type === "chatMessage") send({ type: "error", message: "dropped", code: "rate_limited", about: null });
    });
  });
  const ann = recordingClient(t, url, { confirmMs: 5_000 });
  ann.joinRoom("red");
  ann.connect();
  const id = ann.sendMessage("too much");
  await until(() => joins.length === 2, "the second join");
  assert.deepEqual(ann.of("delivery"), [{ id, status: "sent" }, { id, status: "uncertain" }]);
});

test("disconnect() is final until connect()", async (t) => {
  const { url } = await stampede(t);
  const ann = await inRoom(t, url, "ann", "red");
  ann.disconnect();
  assert.equal(ann.state, "closed");
  assert.deepEqual(ann.of("disconnected"), [{ code: 1000, reason: "disconnect", retryMs: null }]);
  ann.connect();
  await until(() => ann.of("roomJoined").length === 2, "the room");
});

test("after a dropped message the name is sent again, and texts are still confirmed", async (t) => {
  const names = [];
  let drops = 1;
  const { url } = await scripted(t, ({ socket, send }) => {
    socket.on("request", ({ type, username }) => {
      if (type !== "setUsername") return;
      names.push(username);
      if (drops-- > 0) send({ type: "error", message: "dropped", code: "rate_limited", about: null });
    });
  });
  const ann = recordingClient(t, url);
  ann.setUsername("ann");
  ann.joinRoom("red");
  ann.connect();
  await until(() => names.length === 2, "the name again");
  const id = ann.sendMessage("now?");
  await until(() => ann.of("delivery").some((one) => one.id === id && one.status === "confirmed"), "the confirmation");
});
