// What the server is doing, once a second: feeds every element with `data-metric`, `data-herd` or `data-feed`.

import { DEFAULTS, fullJitter, toldPause } from "./chat-parts.js";
import { Chart } from "./chart.js";
import { Herd } from "./herd.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const count = (n) => (n < 10_000 ? whole : short).format(n);
const SHOWN = {
  loopLag: (seconds) => `${(1000 * seconds).toFixed(seconds < 0.0995 ? 1 : 0)} ms`,
};

/** Listen to the server's load; events are `load`, with its report as detail, and `lost`. */
export class LoadFeed extends EventTarget {
  #failures = 0;

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws/notifications${location.search}`);
    socket.onmessage = ({ data }) => {
      this.#failures = 0;
      const report = JSON.parse(data);
      if (report.type === "load") this.dispatchEvent(Object.assign(new Event("load"), { detail: report }));
    };
    socket.onclose = ({ reason }) => {
      const pause = toldPause(reason) ?? fullJitter(this.#failures++, DEFAULTS);
      setTimeout(() => this.connect(), pause);
      this.dispatchEvent(new Event("lost"));
    };
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
  const herds = [...document.querySelectorAll("[data-herd]")].map((canvas) => new Herd(canvas));
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
  feed.addEventListener("lost", () => {
    for (const { value } of tiles) value.textContent = "–";
    for (const herd of herds) herd.show({ connections: 0, deliveriesPerSecond: 0 });
    tell("the server is away; trying again");
  });
}

export const feed = new LoadFeed();
draw(feed);
feed.connect();
