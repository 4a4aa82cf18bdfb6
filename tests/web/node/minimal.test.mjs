// A minimal client and upload function, written from the protocol alone, work with the server.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";

import { MinimalClient, uploadFile } from "./minimal-client.mjs";
import { stampede, steadyPort, until } from "./kit.mjs";

const TYPES = ["connected", "usernameSet", "userJoined", "roomJoined", "userLeft", "chatMessage", "userTyping", "chat"];

function minimalClient(t, url) {
  const client = new MinimalClient(url);
  client.received = [];
  for (const type of [...TYPES, "pong", "error"]) client.on(type, (message) => client.received.push(message));
  client.types = () => client.received.map(({ type }) => type);
  client.connect();
  t.after(() => {
    client.maxReconnectAttempts = 0; // otherwise it would continue after the test
    client.disconnect();
  });
  return client;
}

test("a minimal client takes part in a conversation", async (t) => {
  const server = await stampede(t);
  const base = server.url.replace("/ws/chat", "");
  const ann = minimalClient(t, base);
  ann.setUsername("ann"); // still connecting: the client queues it
  ann.joinRoom("red");
  await until(() => ann.types().includes("roomJoined"), "ann's room");
  assert.deepEqual(ann.types(), ["connected", "usernameSet", "userJoined", "roomJoined"]);
  assert.ok(ann.received[0].clientId);
  assert.deepEqual(ann.received[2], { type: "userJoined", user: "ann", room: "red", userCount: 1 });
  const bob = minimalClient(t, `${base}/chat`);
  bob.setUsername("bob");
  bob.joinRoom("red");
  await until(() => bob.types().includes("roomJoined") && ann.received.length === 5, "bob");
  bob.sendTyping();
  bob.sendMessage("hello");
  await until(() => ann.received.length === 7, "what bob does");
  assert.deepEqual(ann.received[5], { type: "userTyping", user: "bob" });
  const { timestamp, ...said } = ann.received[6];
  assert.deepEqual(said, { type: "chatMessage", user: "bob", text: "hello" });
  assert.ok(Number.isInteger(timestamp));
  bob.send({ type: "ping", timestamp: 42 });
  bob.send({ type: "chat", user: "bob", text: "to all" });
  bob.send({ type: "nonsense" });
  await until(() => bob.types().includes("error"), "the answers");
  assert.equal(bob.received.find(({ type }) => type === "pong").timestamp, 42);
  assert.equal(bob.received.find(({ type }) => type === "error").message, "Invalid message format");
  assert.ok(bob.types().includes("chat"));
  bob.leaveRoom();
  await until(() => ann.types().includes("userLeft"), "the close");
  const left = ann.received.find(({ type }) => type === "userLeft");
  assert.deepEqual([left.user, left.userCount], ["bob", 1]);
});

test("a minimal client reconnects after a restart", async (t) => {
  const server = await stampede(t, { port: await steadyPort() });
  const ann = minimalClient(t, server.url);
  ann.maxReconnectAttempts = 20; // a busy machine may take longer to start a server than five attempts last
  await until(() => ann.types().includes("connected"), "the connection");
  await server.stop("SIGTERM");
  await stampede(t, { port: server.port });
  await until(() => ann.types().filter((type) => type === "connected").length === 2, "the second connection");
});

test("an upload function that waits for no answer stores the file", async (t) => {
  const server = await stampede(t);
  const ann = minimalClient(t, server.url);
  await until(() => ann.types().includes("connected"), "the connection");
  const saved = [];
  ann.on("fileSaved", (message) => saved.push(message));
  const bytes = randomBytes(5_000_000);
  const file = Object.assign(new Blob([bytes], { type: "image/png" }), { name: "photo.png" });
  await uploadFile(ann.ws, file);
  await until(() => saved.length, "the file");
  assert.equal(saved[0].sha256, createHash("sha256").update(bytes).digest("hex"));
  assert.ok(!ann.types().includes("error"));
});
