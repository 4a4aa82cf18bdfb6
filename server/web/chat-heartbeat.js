// Detection of dead connections, and of timers that did not run because the tab or the machine slept.

const LATE_MS = 3_000; // a timer this late was suspended; a busy page is faster
const WAKE_EVENTS = [["online"], ["pageshow"], ["visibilitychange", "document"]];
const MAX_PINGS = 8; // unanswered ones that are kept

/**
 * Call `check` every `ms` milliseconds; returns a function that stops it.
 *
 * The first call after a sleep gets `true`. Messages received meanwhile may be handled only after this call, so silence
 * does not prove that the connection is dead. Later calls get `false` even if they are late: in a background tab every
 * timer is late.
 */
export function repeat(ms, check) {
  let last = Date.now(); // wall clock: `performance.now()` may stop while the machine sleeps
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

/** Call `action` when the network comes back or the page becomes visible; returns a function that stops it. */
export function onWake(action) {
  const handle = () => globalThis.document?.visibilityState !== "hidden" && action();
  const forEachEvent = (method) => {
    for (const [name, owner] of WAKE_EVENTS) {
      const target = owner ? globalThis[owner] : globalThis;
      target?.[method]?.(name, handle);
    }
  };
  forEachEvent("addEventListener");
  return () => forEachEvent("removeEventListener");
}

/**
 * Send pings on one connection and detect that it is dead.
 *
 * `link` has these functions: send(number) sends a ping; covers() returns the last text id that its pong will confirm;
 * buffered() returns the bytes in the socket's buffer; isUploading() returns whether a pong may be queued behind much
 * data; onDead() is called once.
 */
export class Heartbeat {
  #link;
  #options;
  #stop;
  #pings = []; // {number, at, covers, isProbe} of unanswered pings, oldest first
  #number = 0;
  #pingSentAt = -Infinity;
  #receivedAt;
  #buffered = 0;
  #sentBytes = 0;
  #takenBytes = 0;

  constructor({ pingMs, deadMs, probeMs }, link) {
    this.#options = { pingMs, deadMs, probeMs };
    this.#link = link;
    this.#receivedAt = performance.now();
    this.#stop = repeat(Math.min(1000, pingMs / 5), (hasSlept) => this.check(hasSlept));
  }

  stop() {
    this.#stop();
  }

  /** Whether a ping is unanswered. */
  get isWaiting() {
    return this.#pings.length > 0;
  }

  received() {
    this.#receivedAt = performance.now();
  }

  sent(size) {
    this.#sentBytes += size;
  }

  ping(isProbe = false) {
    this.#number += 1;
    this.#pingSentAt = performance.now();
    this.#pings.push({ number: this.#number, at: this.#pingSentAt, covers: this.#link.covers(), isProbe });
    if (this.#pings.length > MAX_PINGS) this.#pings.splice(1, 1); // keep the oldest: it decides about the timeout
    this.#link.send(this.#number);
  }

  /** Check the connection after a sleep: without an answer it is dead after `probeMs`. */
  probe() {
    this.#pings = []; // their timeouts ran while no answer could be handled
    this.received();
    this.ping(!this.#link.isUploading());
  }

  /** Return {ms, covers} of the ping that a pong answers, or null for an unknown number. */
  answered(number) {
    const index = this.#pings.findIndex((ping) => ping.number === number);
    if (index < 0) return null;
    const { at, covers } = this.#pings.splice(0, index + 1).at(-1);
    return { ms: performance.now() - at, covers };
  }

  /** Expect no more answers: the server dropped messages, and pings may be among them. */
  discardPings() {
    this.#pings = [];
  }

  /** Send a ping that is due, or report the connection as dead; `hasSlept` after the timers were suspended. */
  check(hasSlept) {
    if (hasSlept) return this.probe();
    const { pingMs, deadMs, probeMs } = this.#options;
    const now = performance.now();
    const buffered = this.#link.buffered();
    const takenBytes = this.#sentBytes - buffered;
    // On a slow link a pong comes after all that was sent before. While bytes leave the buffer, the connection works.
    if (this.#buffered && takenBytes > this.#takenBytes) this.#receivedAt = now;
    this.#buffered = buffered;
    this.#takenBytes = takenBytes;
    // Silence alone proves nothing: a ping must be unanswered too.
    const isDead = this.#pings.some(({ at, isProbe }) =>
      isProbe
        ? now - at >= probeMs && now - this.#receivedAt >= probeMs
        : now - at >= deadMs - pingMs && now - this.#receivedAt >= deadMs,
    );
    if (isDead) this.#link.onDead();
    else if (now - this.#pingSentAt >= pingMs) this.ping();
  }
}
