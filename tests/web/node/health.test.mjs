// Detection of dead connections and of sleep, with a mocked clock where the time matters.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DEAD } from "./web/chat-client.js";
import { Heartbeat, repeat } from "./web/chat-heartbeat.js";
import { faultyLink, recordingClient, closed, inRoom, scripted, stampede, until } from "./kit.mjs";

const TIMES = { pingMs: 10_000, deadMs: 20_000, probeMs: 5_000 };

/** Return a heartbeat with a clock that the test moves. */
function heartbeatOf(t, link = {}) {
  const monitor = { now: 1_000_000, sent: [], deaths: 0 };
  t.mock.method(performance, "now", () => monitor.now);
  monitor.heartbeat = new Heartbeat(TIMES, {
    send: (number) => monitor.sent.push(number),
    covers: () => monitor.sent.length,
    buffered: () => 0,
    isUploading: () => false,
    onDead: () => (monitor.deaths += 1),
    ...link,
  });
  t.after(() => monitor.heartbeat.stop());
  monitor.at = (ms, hasSlept = false) => {
    monitor.now = 1_000_000 + ms;
    monitor.heartbeat.check(hasSlept);
  };
  return monitor;
}

test("a connection is not dead as long as no ping is unanswered", (t) => {
  const monitor = heartbeatOf(t);
  monitor.at(3_600_000);
  assert.deepEqual([monitor.sent, monitor.deaths], [[1], 0], "a ping is sent first");
  monitor.at(3_601_000);
  assert.equal(monitor.deaths, 0, "the ping has time to be answered");
  monitor.at(3_600_000 + TIMES.deadMs - TIMES.pingMs);
  assert.equal(monitor.deaths, 1);
});

test("a ping before a sleep does not count; the probe after it decides within probeMs", (t) => {
  const monitor = heartbeatOf(t);
  monitor.at(0);
  monitor.at(3_600_000, true);
  assert.deepEqual([monitor.sent, monitor.deaths], [[1, 2], 0]);
  monitor.at(3_600_000 + TIMES.probeMs - 1);
  assert.equal(monitor.deaths, 0);
  monitor.at(3_600_000 + TIMES.probeMs);
  assert.equal(monitor.deaths, 1);
});

test("an answer after a sleep keeps the connection", (t) => {
  const monitor = heartbeatOf(t);
  monitor.at(0);
  monitor.at(3_600_000, true);
  monitor.heartbeat.received();
  assert.deepEqual(monitor.heartbeat.answered(1), null, "the ping before the sleep is forgotten");
  assert.deepEqual(monitor.heartbeat.answered(2), { ms: 0, covers: 1 });
  monitor.at(3_600_000 + TIMES.probeMs);
  assert.equal(monitor.deaths, 0);
});

test("during an upload the probe after a sleep has the normal timeout", (t) => {
  const monitor = heartbeatOf(t, { isUploading: () => true });
  monitor.at(0, true);
  monitor.at(TIMES.probeMs);
  assert.equal(monitor.deaths, 0);
  monitor.at(TIMES.deadMs);
  assert.equal(monitor.deaths, 1);
});

test("a connection that only sends is not dead; an answer covers all earlier pings", (t) => {
  const monitor = heartbeatOf(t);
  for (let ms = 0; ms <= 120_000; ms += 1000) {
    monitor.now = 1_000_000 + ms;
    monitor.heartbeat.received();
    monitor.at(ms);
  }
  assert.equal(monitor.deaths, 0);
  assert.equal(monitor.sent.length, 13, "one every ten seconds");
  assert.equal(monitor.heartbeat.isWaiting, true);
  assert.equal(monitor.heartbeat.answered(12).covers, 11);
  assert.equal(monitor.heartbeat.isWaiting, true, "the last ping is unanswered");
  assert.equal(monitor.heartbeat.answered(11), null);
});

test("frequent pings do not postpone the timeout", (t) => {
  const monitor = heartbeatOf(t);
  for (let ms = 0; ms < TIMES.deadMs; ms += 1000) {
    monitor.at(ms);
    monitor.heartbeat.ping();
  }
  assert.equal(monitor.deaths, 0);
  monitor.at(TIMES.deadMs);
  assert.equal(monitor.deaths, 1);
});

test("bytes that leave the socket's buffer show a working connection; bytes that stay do not", (t) => {
  let buffered = 1_000_000;
  const monitor = heartbeatOf(t, { buffered: () => buffered });
  monitor.heartbeat.sent(1_000_000);
  for (let ms = 0; ms <= 60_000; ms += 1000) {
    buffered -= 1000;
    monitor.at(ms);
  }
  assert.equal(monitor.deaths, 0);
  for (let ms = 61_000; ms <= 60_000 + TIMES.deadMs; ms += 1000) monitor.at(ms);
  assert.equal(monitor.deaths, 1);
});

test("only the first late call reports a sleep: in a background tab every timer is late", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let now = 1_000_000;
  t.mock.method(Date, "now", () => now);
  const calls = [];
  const end = repeat(1000, (hasSlept) => calls.push(hasSlept));
  for (const ms of [1000, 1900, 60_000, 60_000, 60_000, 1000, 60_000]) {
    now += ms;
    t.mock.timers.tick(1000);
  }
  end();
  t.mock.timers.tick(1000);
  assert.deepEqual(calls, [false, false, true, false, false, false, true]);
});

/** Provide the events of a browser's window and document, which Node lacks. */
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
  test(`${name}: a dead connection is detected at once and replaced`, async (t) => {
    const targets = windowEvents(t);
    const server = await stampede(t);
    const link = await faultyLink(t, server.port);
    const ann = await inRoom(t, link.url, "ann", "red", { pingMs: 600_000, deadMs: 1_200_000, probeMs: 1_000 });
    link.silent = true;
    if (place === "document") {
      targets.document.visibilityState = "hidden";
      targets.document.dispatchEvent(new Event(name));
      targets.document.visibilityState = "visible";
    }
    targets[place].dispatchEvent(new Event(name));
    await until(() => closed(ann).length, "the end");
    assert.deepEqual(ann.of("disconnected")[0].reason, "heartbeat timeout");
    assert.equal(closed(ann)[0], DEAD);
    link.silent = false;
    await until(() => ann.of("roomJoined").length >= 2, "the room");
  });
}

test("a page that comes back reconnects at once, but not before the server's retry_ms", async (t) => {
  const { window } = windowEvents(t);
  const reasons = ["", "restart retry_ms=600000"];
  const script = ({ socket, number }) => number <= 2 && socket.close(1012, reasons[number - 1]);
  const { url, count } = await scripted(t, script);
  const ann = recordingClient(t, url, { random: () => 1, firstRetryMs: 600_000, longestRetryMs: 600_000 });
  ann.connect();
  await until(() => closed(ann).length === 1, "the first end");
  window.dispatchEvent(new Event("online"));
  await until(() => closed(ann).length === 2, "the second end");
  window.dispatchEvent(new Event("online"));
  assert.equal(ann.state, "waiting", "retry_ms still applies");
  ann.connect();
  await until(() => ann.state === "open", "the third connection, requested by connect()");
  assert.equal(count(), 3);
});

test("after disconnect() no event reconnects", async (t) => {
  const { window, document } = windowEvents(t);
  const { url, count } = await scripted(t);
  const ann = recordingClient(t, url);
  ann.connect();
  await until(() => ann.state === "open", "the connection");
  ann.disconnect();
  for (const name of ["online", "pageshow"]) window.dispatchEvent(new Event(name));
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(ann.state, "closed");
  assert.equal(count(), 1);
});
