// Tokens: their sources, and the reaction to a refused one.

import assert from "node:assert/strict";
import { test } from "node:test";

import { NO_ADDRESS, tokenRefusal } from "./web/chat-client.js";
import { recordingClient, closed, scripted, until } from "./kit.mjs";

/** Start a server that accepts the token `good` and refuses others like the real server. */
async function tokenServer(t, good = "good") {
  const received = [];
  const { url } = await scripted(
    t,
    ({ socket, send, target }) => {
      const token = new URL(target, "ws://x").searchParams.get("token");
      received.push(token);
      if (token === good) send({ type: "connected", clientId: "1" });
      else socket.close(1008, "token_expired: The token has expired");
    },
    null,
  );
  return { url, received };
}

test("a token is added to the query of the URL", async (t) => {
  const { url, received } = await tokenServer(t, "a b&c=d");
  const ann = recordingClient(t, `${url}/ws/chat?x=1`, { token: "a b&c=d" });
  ann.connect();
  await until(() => ann.state === "open", "the connection");
  assert.deepEqual(received, ["a b&c=d"]);
});

for (const [form, make] of Object.entries({
  "the token": (url, next) => [url, { token: next }],
  "a promise of the token": (url, next) => [url, { token: async () => next() }],
  "the URL": (url, next) => [() => `${url}?token=${next()}`, {}],
  "a promise of the URL": (url, next) => [async () => new URL(`${url}?token=${next()}`), {}],
})) {
  test(`a function returns ${form} for each attempt, and a newer one after a refusal`, async (t) => {
    const { url, received } = await tokenServer(t);
    const tokens = ["old", "good"];
    const ann = recordingClient(t, ...make(url, () => tokens.shift()));
    ann.connect();
    await until(() => ann.state === "open", "the connection");
    assert.deepEqual(received, ["old", "good"]);
    const [{ code, reason, retryMs }] = ann.of("disconnected");
    assert.deepEqual([code, reason, retryMs !== null], [1008, "token_expired: The token has expired", true]);
  });
}

test("a function's token that stays refused is tried twice only", async (t) => {
  const { url, received } = await tokenServer(t);
  const ann = recordingClient(t, url, { token: () => "old" });
  ann.connect();
  await until(() => ann.state === "closed", "the end");
  assert.deepEqual(received, ["old", "old"]);
  assert.equal(ann.of("disconnected").at(-1).retryMs, null);
  ann.connect(); // an explicit connect() always tries again
  await until(() => received.length === 4 && ann.state === "closed", "another try");
});

test("a refused fixed token closes the client with the reason", async (t) => {
  const { url, received } = await tokenServer(t);
  const ann = recordingClient(t, url, { token: "old" });
  ann.connect();
  await until(() => ann.state === "closed", "the end");
  assert.deepEqual(received, ["old"]);
  const [{ code, reason, retryMs }] = ann.of("disconnected");
  assert.equal(retryMs, null);
  assert.deepEqual(tokenRefusal(code, reason), { code: "token_expired", message: "The token has expired" });
  assert.equal(tokenRefusal(1008, "too many messages"), null);
  assert.equal(tokenRefusal(1006, "token_expired: no"), null);
});

for (const [how, fail] of Object.entries({
  throws: () => {
    throw new Error("logged out");
  },
  rejects: async () => {
    throw new Error("logged out");
  },
  "returns no URL": () => "not a url",
  "never answers": () => new Promise(() => {}),
})) {
  test(`a function that ${how} fails the attempt and is called again`, async (t) => {
    const { url } = await scripted(t);
    let calls = 0;
    const ann = recordingClient(t, () => (++calls < 3 ? fail() : url), { connectMs: 300 });
    ann.connect();
    await until(() => ann.state === "open", "the connection");
    assert.equal(calls, 3);
    assert.equal(closed(ann).length, 2);
    if (how === "rejects") assert.deepEqual(closed(ann), [NO_ADDRESS, NO_ADDRESS]);
  });
}

test("a token that arrives after disconnect() opens no connection", async (t) => {
  const { url, count } = await scripted(t);
  let answer;
  const ann = recordingClient(t, () => new Promise((resolve) => (answer = resolve)));
  ann.connect();
  ann.disconnect();
  answer(url);
  await new Promise(setImmediate);
  assert.equal(ann.state, "closed");
  assert.equal(count(), 0);
});
