// What the server is doing, once a second: feeds every element with `data-metric`, `data-herd` or `data-feed`.

import { every, onWake } from "./chat-heartbeat.js";
import { DEFAULTS, besidePage, fullJitter, toldPause, tokenRefusal } from "./chat-util.js";
import { Chart } from "./chart.js";
import { HerdAnimation } from "./herd-animation.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const count = (n) => (n < 10_000 ? whole : short).format(n);
const SHOWN = {
  loopLag: (seconds) => `${(1000 * seconds).toFixed(seconds < 0.0995 ? 1 : 0)} ms`,
};

const SILENCE_MS = 8_000; // the server reports once a second: without a report for so long the connection is dead

/** Listen to the server's load; events are `load`, with its report as detail, and `lost`, with a reason if one is known. */
export class LoadFeed extends EventTarget {
  #failures = 0;
  #wasOpen = false; // ever
  #socket = null;
  #heardAt = 0; // or tried at
  #retry;
  #toldUntil = 0; // by the wall clock

  start() {
    every(1000, (hasSlept) => this.#check(hasSlept));
    onWake(() => this.#wake());
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    const socket = new WebSocket(besidePage("ws/notifications"));
    socket.onopen = () => (this.#wasOpen = true);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#socket = socket;
    this.#heardAt = performance.now();
  }

  #receive(data) {
    this.#failures = 0;
    this.#heardAt = performance.now();
    const report = JSON.parse(data);
    if (report.type === "load") this.#tell("load", report);
  }

  #lost(code, reason) {
    const refusal = tokenRefusal(code, reason);
    const told = toldPause(reason);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
    this.#toldUntil = refusal ? Infinity : Date.now() + (told ?? 0);
    if (!refusal) this.#retry = setTimeout(() => this.#connect(), told ?? fullJitter(this.#failures++, DEFAULTS));
    this.#tell("lost", refusal?.message);
    if (!refusal && !this.#wasOpen) this.#askWhy();
  }

  /** Tell a server that is away from one that sends no reports, or whose WebSockets a proxy stops. */
  async #askWhy() {
    const isThere = await fetch("api/status").then(({ ok }) => ok, () => false);
    if (isThere && !this.#socket) this.#tell("lost", "this server sends no load reports; trying again");
  }

  /** Give up a connection that fell silent; after a sleep reports may still wait to be handed on. */
  #check(hasSlept) {
    if (hasSlept) this.#heardAt = performance.now();
    else if (this.#socket && performance.now() - this.#heardAt >= SILENCE_MS) this.#lost(1006, "");
  }

  #wake() {
    if (!this.#socket && Date.now() >= this.#toldUntil) this.#connect();
  }

  #tell(type, detail) {
    this.dispatchEvent(Object.assign(new Event(type), { detail }));
  }
}

/** Draw a feed into all of a page's places for it. */
function draw(feed) {
  const tiles = [...document.querySelectorAll("[data-metric]")].map((place) => {
    const name = place.dataset.metric;
    const shown = SHOWN[name] ?? count;
    const chart = new Chart(place.querySelector("canvas"), shown, name === "loopLag" ? 0.002 : 2);
    return { name, shown, value: place.querySelector("dd"), chart };
  });
  const herds = [...document.querySelectorAll("[data-herd]")].map((canvas) => new HerdAnimation(canvas));
  const tell = (text) => document.querySelectorAll("[data-feed]").forEach((place) => (place.textContent = text));
  let last = -1;
  feed.addEventListener("load", ({ detail: load }) => {
    if (load.uptime < last) for (const { chart } of tiles) chart.clear(); // another process
    if (load.uptime === last) return;
    const isGap = last >= 0 && load.uptime - last > 5;
    last = load.uptime;
    for (const { name, shown, value, chart } of tiles) {
      if (isGap) chart.clear();
      value.textContent = shown(load[name]);
      chart.add(load[name]);
    }
    for (const herd of herds) herd.show(load);
    tell("once a second");
  });
  feed.addEventListener("lost", ({ detail: reason }) => {
    for (const { value } of tiles) value.textContent = "–";
    for (const herd of herds) herd.show({ connections: 0, deliveriesPerSecond: 0 });
    tell(reason ?? "the server is away; trying again");
  });
}

export const feed = new LoadFeed();
draw(feed);
feed.start();
