// Notice that a connection is dead although nobody closed it, and that timers, the tab or the machine slept.

const LATE_MS = 3_000; // a timer that is later than this has slept: no page is so busy
const WAKE_EVENTS = [["online"], ["pageshow"], ["visibilitychange", "document"]];
const MOST_PINGS = 8; // unanswered ones that are remembered

/**
 * Call `check` every `ms` milliseconds; returns a function that ends it.
 *
 * The first call after a sleep gets `true`: messages that came meanwhile may still wait behind it, so it must not
 * judge by silence. Later ones get `false`, however late they are: in a background tab every timer is late.
 */
export function every(ms, check) {
  let last = Date.now(); // the clock on the wall: `performance.now()` may stand still while the machine sleeps
  let wasLate = false;
  const timer = setInterval(() => {
    const now = Date.now();
    const isLate = now - last > ms + LATE_MS;
    last = now;
    check(isLate && !wasLate);
    wasLate = isLate;
  }, ms);
  return () => clearInterval(timer);
}

/** Call `act` when the network, the page or its tab comes back; returns a function that ends it. */
export function onWake(act) {
  const react = () => globalThis.document?.visibilityState !== "hidden" && act();
  const each = (change) => {
    for (const [name, place] of WAKE_EVENTS) {
      const target = place ? globalThis[place] : globalThis;
      target?.[change]?.(name, react);
    }
  };
  each("addEventListener");
  return () => each("removeEventListener");
}

/**
 * The pings of one connection, and the decision that it is dead.
 *
 * `link`: send(number) a ping; covers() what its pong will confirm; buffered() bytes that the socket still holds;
 * isUploading() whether a pong may stand behind much data; dead() is called once.
 */
export class Heartbeat {
  #link;
  #options;
  #stop;
  #pings = []; // unanswered: {number, at, covers, isProbe}, the oldest first
  #number = 0;
  #pingedAt = -Infinity;
  #heardAt;
  #buffered = 0;
  #written = 0;
  #moved = 0;

  constructor({ pingMs, deadMs, probeMs }, link) {
    this.#options = { pingMs, deadMs, probeMs };
    this.#link = link;
    this.#heardAt = performance.now();
    this.#stop = every(Math.min(1000, pingMs / 5), (hasSlept) => this.check(hasSlept));
  }

  stop() {
    this.#stop();
  }

  /** Whether a ping is unanswered. */
  get isWaiting() {
    return this.#pings.length > 0;
  }

  heard() {
    this.#heardAt = performance.now();
  }

  wrote(size) {
    this.#written += size;
  }

  ping(isProbe = false) {
    this.#number += 1;
    this.#pingedAt = performance.now();
    this.#pings.push({ number: this.#number, at: this.#pingedAt, covers: this.#link.covers(), isProbe });
    if (this.#pings.length > MOST_PINGS) this.#pings.splice(1, 1); // the oldest decides
    this.#link.send(this.#number);
  }

  /** Ask whether the connection outlived a sleep; without an answer it is dead after `probeMs`. */
  probe() {
    this.#pings = []; // their time ran while nobody could see the answers
    this.heard();
    this.ping(!this.#link.isUploading());
  }

  /** Return {ms, covers} of the ping that a pong answers; null for one that is not awaited. */
  answered(number) {
    const index = this.#pings.findIndex((ping) => ping.number === number);
    if (index < 0) return null;
    const { at, covers } = this.#pings.splice(0, index + 1).at(-1);
    return { ms: performance.now() - at, covers };
  }

  /** Expect no answer any more: the server said that it drops messages, and pings may be among them. */
  giveUpPings() {
    this.#pings = [];
  }

  /** Decide; `hasSlept` when the timers have just slept. */
  check(hasSlept) {
    if (hasSlept) return this.probe();
    const { pingMs, deadMs, probeMs } = this.#options;
    const now = performance.now();
    const buffered = this.#link.buffered();
    const moved = this.#written - buffered;
    // On a slow link a pong stands behind all that we have written; as long as that moves, someone takes it.
    if (this.#buffered && moved > this.#moved) this.#heardAt = now;
    this.#buffered = buffered;
    this.#moved = moved;
    // Silence alone is no proof: without an unanswered ping nobody was asked.
    const isDead = this.#pings.some(({ at, isProbe }) =>
      isProbe
        ? now - at >= probeMs && now - this.#heardAt >= probeMs
        : now - at >= deadMs - pingMs && now - this.#heardAt >= deadMs,
    );
    if (isDead) this.#link.dead();
    else if (now - this.#pingedAt >= pingMs) this.ping();
  }
}
