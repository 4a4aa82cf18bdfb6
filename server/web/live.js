// Show the server's load, once a second, in all elements with `data-metric`, `data-herd` or `data-feed`.

import { onWake, repeat } from "./chat-heartbeat.js";
import { fullJitter, retryDelay, tokenRefusal } from "./chat-reconnect.js";
import { DEFAULTS, relativeWebSocketUrl } from "./chat-util.js";
import { Chart } from "./chart.js";
import { HerdAnimation } from "./herd-animation.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const count = (n) => (n < 10_000 ? whole : short).format(n);
const FORMATS = {
  loopLag: (seconds) => `${(1000 * seconds).toFixed(seconds < 0.0995 ? 1 : 0)} ms`,
};

const SILENCE_MS = 8_000; // the server reports once a second; after this silence the connection is dead

/** Receive load reports. Events: `load`, with the report as detail; `lost`, with a reason if there is one. */
export class LoadFeed extends EventTarget {
  #failures = 0;
  #wasOpen = false; // ever
  #socket = null;
  #receivedAt = 0; // or time of the last attempt
  #retry;
  #retryNotBefore = 0; // wall clock

  start() {
    repeat(1000, (hasSlept) => this.#check(hasSlept));
    onWake(() => this.#handleWake());
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    const socket = new WebSocket(relativeWebSocketUrl("ws/notifications"));
    socket.onopen = () => (this.#wasOpen = true);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#socket = socket;
    this.#receivedAt = performance.now();
  }

  #receive(data) {
    this.#failures = 0;
    this.#receivedAt = performance.now();
    const report = JSON.parse(data);
    if (report.type === "load") this.#emit("load", report);
  }

  #lost(code, reason) {
    const refusal = tokenRefusal(code, reason);
    const requested = retryDelay(reason);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
    this.#retryNotBefore = refusal ? Infinity : Date.now() + (requested ?? 0);
    if (!refusal) this.#retry = setTimeout(() => this.#connect(), requested ?? fullJitter(this.#failures++, DEFAULTS));
    this.#emit("lost", refusal?.message);
    if (!refusal && !this.#wasOpen) this.#explainFailure();
  }

  /** Distinguish a server that is down from one that sends no reports, or whose WebSockets a proxy blocks. */
  async #explainFailure() {
    const isReachable = await fetch("api/status").then(({ ok }) => ok, () => false);
    if (isReachable && !this.#socket) this.#emit("lost", "this server sends no load reports; trying again");
  }

  /** Reconnect after a silence, except after a sleep: reports may then be received but not handled yet. */
  #check(hasSlept) {
    if (hasSlept) this.#receivedAt = performance.now();
    else if (this.#socket && performance.now() - this.#receivedAt >= SILENCE_MS) this.#lost(1006, "");
  }

  #handleWake() {
    if (!this.#socket && Date.now() >= this.#retryNotBefore) this.#connect();
  }

  #emit(type, detail) {
    this.dispatchEvent(Object.assign(new Event(type), { detail }));
  }
}

/** Show a feed in all elements of the page that display it. */
function draw(feed) {
  const tiles = [...document.querySelectorAll("[data-metric]")].map((tile) => {
    const name = tile.dataset.metric;
    const format = FORMATS[name] ?? count;
    const chart = new Chart(tile.querySelector("canvas"), format, name === "loopLag" ? 0.002 : 2);
    return { name, format, value: tile.querySelector("dd"), chart };
  });
  const herds = [...document.querySelectorAll("[data-herd]")].map((canvas) => new HerdAnimation(canvas));
  const showState = (text) => document.querySelectorAll("[data-feed]").forEach((each) => (each.textContent = text));
  let last = -1;
  feed.addEventListener("load", ({ detail: load }) => {
    if (load.uptime < last) for (const { chart } of tiles) chart.clear(); // the server restarted
    if (load.uptime === last) return;
    const isGap = last >= 0 && load.uptime - last > 5;
    last = load.uptime;
    for (const { name, format, value, chart } of tiles) {
      if (isGap) chart.clear();
      value.textContent = format(load[name]);
      chart.add(load[name]);
    }
    for (const herd of herds) herd.show(load);
    showState("once a second");
  });
  feed.addEventListener("lost", ({ detail: reason }) => {
    for (const { value } of tiles) value.textContent = "–";
    for (const herd of herds) herd.show({ connections: 0, deliveriesPerSecond: 0 });
    showState(reason ?? "server not reachable; trying again");
  });
}

export const feed = new LoadFeed();
draw(feed);
feed.start();
