// Uploads: complete, in order, cancelled, refused, and to a server that does not answer upload messages.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";

import { UploadError } from "./web/chat-client.js";
import { Uploads } from "./web/chat-upload.js";
import { faultyLink, recordingClient, closed, inRoom, scripted, stampede, until } from "./kit.mjs";

const named = (bytes, name) => Object.assign(new Blob([bytes], { type: "text/plain" }), { name });

test("files of all sizes are stored unchanged, one after the other", async (t) => {
  const { url } = await stampede(t);
  const [ann, bob] = [await inRoom(t, url, "ann", "red"), await inRoom(t, url, "bob", "red")];
  const sizes = [0, 1, 65_535, 65_536, 65_537, 1_000_000];
  const contents = sizes.map((size) => randomBytes(size));
  const saved = await Promise.all(contents.map((bytes, index) => ann.sendFile(named(bytes, `file ${index}`))));
  for (const [index, bytes] of contents.entries()) {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const { uploadId, ...told } = saved[index];
    assert.ok(uploadId);
    assert.deepEqual(told, { type: "fileSaved", name: `file ${index}`, size: sizes[index], sha256 });
  }
  await until(() => bob.of("fileShared").length === sizes.length, "the room to be told");
});

test("an upload can be cancelled at any time, and the next one starts", async (t) => {
  const server = await stampede(t);
  const link = await faultyLink(t, server.port);
  link.bytesPerSecond = 2_000_000;
  const ann = await inRoom(t, link.url, "ann", "red");
  const big = named(new Uint8Array(3_000_000), "big");
  await assert.rejects(ann.sendFile(big, { signal: AbortSignal.abort(new Error("never mind")) }), /never mind/);
  const early = new AbortController();
  const first = ann.sendFile(big, { signal: early.signal });
  await Promise.resolve();
  early.abort(new Error("no"));
  const late = new AbortController();
  const second = ann.sendFile(big, {
    signal: late.signal,
    onProgress: ({ loaded }) => loaded > 500_000 && late.abort(new Error("enough")),
  });
  const third = ann.sendFile(named("small", "small"));
  await assert.rejects(first, /no/);
  await assert.rejects(second, /enough/);
  assert.equal((await third).size, 5);
  assert.deepEqual(ann.of("error"), []);
});

test("a refusal and a lost connection reject with the reason", async (t) => {
  const server = await stampede(t, { flags: ["--upload-budget", "20000000"] });
  const ann = await inRoom(t, server.url, "ann", "red");
  await assert.rejects(ann.sendFile(named(new Uint8Array(25_000_000), "f")), { name: "UploadError", code: "upload_budget" });
  await assert.rejects(ann.sendFile({ name: "f", size: 26_214_401 }), { name: "UploadError", code: "upload_too_large" });
  assert.equal((await ann.sendFile(named("fits", "f"))).size, 4);
  const link = await faultyLink(t, server.port);
  const bob = await inRoom(t, link.url, "bob", "red");
  link.bytesPerSecond = 100_000;
  const cut = bob.sendFile(named(new Uint8Array(90_000), "f"), { onProgress: () => server.stop("SIGKILL") });
  await assert.rejects(cut, UploadError);
  await assert.rejects(bob.sendFile(named("x", "f")), /no connection/);
});

test("a server that does not answer upload messages receives the file too", async (t) => {
  const said = [];
  const { url } = await scripted(t, ({ socket }) => socket.on("request", ({ type }) => said.push(type)));
  const ann = recordingClient(t, url);
  ann.connect();
  await until(() => ann.state === "open", "the connection");
  const saved = await ann.sendFile(named(new Uint8Array(100_000), "f"));
  assert.deepEqual(saved, { type: "fileSaved", uploadId: null, name: "f", size: 100_000, sha256: null });
  await until(() => said.includes("fileEnd"), "the end");
  assert.deepEqual(said.filter((type) => type !== "ping"), ["fileStart", "binary", "binary", "fileEnd"]);
});

test("progress never decreases, although the socket's buffer includes chunk headers", async () => {
  let waiting = -60_000; // bytes that the socket accepts at first
  const uploads = new Uploads({
    isOpen: () => true,
    maxBytes: () => null,
    buffered: () => Math.max(0, waiting),
    maxBuffered: Infinity,
    answerMs: 60_000,
    reserve: () => 0,
    sendMessage: () => {},
    sendChunk: (chunk) => (waiting += chunk.byteLength),
  });
  const seen = [];
  const onProgress = ({ loaded }) => {
    seen.push(loaded);
    if (seen.length === 6) setTimeout(() => (waiting = 0)); // all are buffered
  };
  await uploads.send(named(new Uint8Array(6 * 65_536), "f"), { onProgress });
  assert.deepEqual(seen, seen.toSorted((a, b) => a - b));
  assert.equal(seen.at(-1), 6 * 65_536);
});

for (const [count, flags] of [[150, []], [25, ["--message-rate", "10"]]]) {
  test(`${count} small files are all stored within the rate limit of a server with ${flags.join(" ") || "its defaults"}`, async (t) => {
    const { url } = await stampede(t, { flags });
    const ann = await inRoom(t, url, "ann", "red");
    const files = Array.from({ length: count }, (_, number) => named("0123456789", `file ${number}`));
    const saved = await Promise.all(files.map((file) => ann.sendFile(file)));
    assert.deepEqual(saved.map(({ name }) => name), files.map(({ name }) => name));
    assert.deepEqual(closed(ann), []);
  });
}

test("texts and uploads share one rate limit, and neither starves the other", async (t) => {
  const { url } = await stampede(t, { flags: ["--message-rate", "0"] }); // only the client limits the rate
  const ann = await inRoom(t, url, "ann", "red", { burst: 40 });
  const bob = await inRoom(t, url, "bob", "red");
  const texts = Array.from({ length: 100 }, (_, number) => `text ${number}`);
  for (const text of texts) ann.sendMessage(text);
  assert.ok(ann.queued > 0);
  const began = performance.now();
  const saved = await Promise.all(Array.from({ length: 20 }, (_, number) => ann.sendFile(named("x", `file ${number}`))));
  assert.equal(saved.length, 20);
  await until(() => bob.of("message").length === texts.length, "the texts");
  assert.deepEqual(bob.of("message").map(({ text }) => text), texts);
  const messages = texts.length + 3 * saved.length - 40; // without the burst
  assert.ok(performance.now() - began > 1000 * (messages / 40) * 0.9, "not above the rate limit");
});

/** Start a server that accepts uploads but drops the first `dropped[type]` messages of each type. */
async function droppingServer(t, dropped) {
  const seen = [];
  const { url } = await scripted(
    t,
    ({ socket, send }) => {
      socket.on("request", ({ type }) => {
        const times = seen.push(type) && seen.filter((one) => one === type).length;
        if (times <= (dropped[type] ?? 0)) return;
        if (type === "fileStart") send({ type: "fileReady", uploadId: "1" });
        if (type === "fileEnd") send({ type: "fileSaved", uploadId: "1", name: "f", size: 1, sha256: "" });
      });
    },
    { maxUploadBytes: 1000 },
  );
  return { url, seen };
}

test("messages that the server dropped are repeated", async (t) => {
  const { url, seen } = await droppingServer(t, { fileStart: 1, fileEnd: 1 });
  const ann = recordingClient(t, url);
  ann.connect();
  await until(() => ann.state === "open", "the connection");
  assert.equal((await ann.sendFile(named("x", "f"))).name, "f");
  assert.deepEqual(seen.filter((type) => type !== "ping"), ["fileStart", "fileStart", "binary", "fileEnd", "fileEnd"]);
});

for (const step of ["fileStart", "fileEnd"]) {
  test(`an upload without an answer to ${step} fails, and the next one starts`, async (t) => {
    const { url, seen } = await droppingServer(t, { [step]: 1 });
    const ann = recordingClient(t, url, { answerMs: 200 });
    ann.connect();
    await until(() => ann.state === "open", "the connection");
    const [first, second] = [ann.sendFile(named("x", "first")), ann.sendFile(named("x", "second"))];
    await assert.rejects(first, { name: "UploadError", message: "the server does not answer" });
    assert.ok(await second);
    assert.ok(seen.includes("fileCancel"), "the upload is cancelled at the server");
  });
}

test("an upload that waits for others is cancelled at once", async (t) => {
  const { url } = await scripted(t, undefined, { maxUploadBytes: 1000 }); // never answers uploads
  const ann = recordingClient(t, url);
  ann.connect();
  await until(() => ann.state === "open", "the connection");
  const first = ann.sendFile(named("x", "first"));
  const abort = new AbortController();
  const second = ann.sendFile(named("x", "second"), { signal: abort.signal });
  abort.abort(new Error("never mind"));
  await assert.rejects(second, /never mind/);
  ann.disconnect();
  await assert.rejects(first, { name: "UploadError", message: "the connection was lost" });
});
