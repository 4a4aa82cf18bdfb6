// Dead connections, and sleep: of timers, of tabs, of machines. Time is the test's own, where it matters.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DEAD } from "./web/chat-client.js";
import { Heartbeat, every } from "./web/chat-heartbeat.js";
import { badLink, chatter, closed, inRoom, scripted, stampede, until } from "./kit.mjs";

const TIMES = { pingMs: 10_000, deadMs: 20_000, probeMs: 5_000 };

/** A heartbeat whose clock the test moves. */
function heart(t, link = {}) {
  const beat = { now: 1_000_000, sent: [], deaths: 0 };
  t.mock.method(performance, "now", () => beat.now);
  beat.heartbeat = new Heartbeat(TIMES, {
    send: (number) => beat.sent.push(number),
    covers: () => beat.sent.length,
    buffered: () => 0,
    isUploading: () => false,
    dead: () => (beat.deaths += 1),
    ...link,
  });
  t.after(() => beat.heartbeat.stop());
  beat.at = (ms, hasSlept = false) => {
    beat.now = 1_000_000 + ms;
    beat.heartbeat.check(hasSlept);
  };
  return beat;
}

test("silence during which no ping was sent is no death, however long", (t) => {
  const beat = heart(t);
  beat.at(3_600_000);
  assert.deepEqual([beat.sent, beat.deaths], [[1], 0], "it asks first");
  beat.at(3_601_000);
  assert.equal(beat.deaths, 0, "and gives time to answer");
  beat.at(3_600_000 + TIMES.deadMs - TIMES.pingMs);
  assert.equal(beat.deaths, 1);
});

test("a ping that a sleep overtook is no death; the next one decides, and soon", (t) => {
  const beat = heart(t);
  beat.at(0);
  beat.at(3_600_000, true);
  assert.deepEqual([beat.sent, beat.deaths], [[1, 2], 0]);
  beat.at(3_600_000 + TIMES.probeMs - 1);
  assert.equal(beat.deaths, 0);
  beat.at(3_600_000 + TIMES.probeMs);
  assert.equal(beat.deaths, 1);
});

test("an answer after a sleep keeps the connection", (t) => {
  const beat = heart(t);
  beat.at(0);
  beat.at(3_600_000, true);
  beat.heartbeat.heard();
  assert.deepEqual(beat.heartbeat.answered(1), null, "the old ping is not awaited any more");
  assert.deepEqual(beat.heartbeat.answered(2), { ms: 0, covers: 1 });
  beat.at(3_600_000 + TIMES.probeMs);
  assert.equal(beat.deaths, 0);
});

test("while a file is on its way, an answer after a sleep has as long as any other", (t) => {
  const beat = heart(t, { isUploading: () => true });
  beat.at(0, true);
  beat.at(TIMES.probeMs);
  assert.equal(beat.deaths, 0);
  beat.at(TIMES.deadMs);
  assert.equal(beat.deaths, 1);
});

test("a connection that answers no pings but is heard is asked again; an answer counts for all before", (t) => {
  const beat = heart(t);
  for (let ms = 0; ms <= 120_000; ms += 1000) {
    beat.now = 1_000_000 + ms;
    beat.heartbeat.heard();
    beat.at(ms);
  }
  assert.equal(beat.deaths, 0);
  assert.equal(beat.sent.length, 13, "one each ten seconds");
  assert.equal(beat.heartbeat.isWaiting, true);
  assert.equal(beat.heartbeat.answered(12).covers, 11);
  assert.equal(beat.heartbeat.isWaiting, true, "the last one is still out");
  assert.equal(beat.heartbeat.answered(11), null);
});

test("pings that follow each other quickly do not put off the end", (t) => {
  const beat = heart(t);
  for (let ms = 0; ms < TIMES.deadMs; ms += 1000) {
    beat.at(ms);
    beat.heartbeat.ping();
  }
  assert.equal(beat.deaths, 0);
  beat.at(TIMES.deadMs);
  assert.equal(beat.deaths, 1);
});

test("bytes that leave the socket are a sign of life; bytes that stay are none", (t) => {
  let buffered = 1_000_000;
  const beat = heart(t, { buffered: () => buffered });
  beat.heartbeat.wrote(1_000_000);
  for (let ms = 0; ms <= 60_000; ms += 1000) {
    buffered -= 1000;
    beat.at(ms);
  }
  assert.equal(beat.deaths, 0);
  for (let ms = 61_000; ms <= 60_000 + TIMES.deadMs; ms += 1000) beat.at(ms);
  assert.equal(beat.deaths, 1);
});

test("only the first late call says that the timers slept: in a background tab each of them is late", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let now = 1_000_000;
  t.mock.method(Date, "now", () => now);
  const calls = [];
  const end = every(1000, (hasSlept) => calls.push(hasSlept));
  for (const ms of [1000, 1900, 60_000, 60_000, 60_000, 1000, 60_000]) {
    now += ms;
    t.mock.timers.tick(1000);
  }
  end();
  t.mock.timers.tick(1000);
  assert.deepEqual(calls, [false, false, true, false, false, false, true]);
});

/** What a browser has and Node has not: events of the window and of the document. */
function windowEvents(t) {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const own = {
    addEventListener: (...what) => window.addEventListener(...what),
    removeEventListener: (...what) => window.removeEventListener(...what),
    document,
  };
  Object.assign(globalThis, own);
  t.after(() => Object.keys(own).forEach((name) => delete globalThis[name]));
  return { window, document };
}

for (const [place, name] of [["window", "online"], ["window", "pageshow"], ["document", "visibilitychange"]]) {
  test(`${name}: a connection that died meanwhile is noticed at once, and another one made`, async (t) => {
    const targets = windowEvents(t);
    const server = await stampede(t);
    const link = await badLink(t, server.port);
    const ann = await inRoom(t, link.url, "ann", "red", { pingMs: 600_000, deadMs: 1_200_000, probeMs: 1_000 });
    link.silent = true;
    if (place === "document") {
      targets.document.visibilityState = "hidden";
      targets.document.dispatchEvent(new Event(name));
      targets.document.visibilityState = "visible";
    }
    targets[place].dispatchEvent(new Event(name));
    await until(() => closed(ann).length, "the end");
    assert.deepEqual(ann.of("disconnected")[0].reason, "no sign of life");
    assert.equal(closed(ann)[0], DEAD);
    link.silent = false;
    await until(() => ann.of("roomJoined").length >= 2, "the room");
  });
}

test("who comes back tries at once, but not before the time that the server named", async (t) => {
  const { window } = windowEvents(t);
  const reasons = ["", "restart retry_ms=600000"];
  const script = ({ socket, number }) => number <= 2 && socket.close(1012, reasons[number - 1]);
  const { url, count } = await scripted(t, script);
  const ann = chatter(t, url, { random: () => 1, firstRetryMs: 600_000, longestRetryMs: 600_000 });
  ann.connect();
  await until(() => closed(ann).length === 1, "the first end");
  window.dispatchEvent(new Event("online"));
  await until(() => closed(ann).length === 2, "the second end");
  window.dispatchEvent(new Event("online"));
  assert.equal(ann.state, "waiting", "the server's word holds");
  ann.connect();
  await until(() => ann.state === "open", "the third connection, which a person asked for");
  assert.equal(count(), 3);
});

test("after disconnect() no event makes a connection", async (t) => {
  const { window, document } = windowEvents(t);
  const { url, count } = await scripted(t);
  const ann = chatter(t, url);
  ann.connect();
  await until(() => ann.state === "open", "the connection");
  ann.disconnect();
  for (const name of ["online", "pageshow"]) window.dispatchEvent(new Event(name));
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(ann.state, "closed");
  assert.equal(count(), 1);
});
