// Small parts of the chat client that know no socket.

export const DEFAULTS = {
  WebSocket: undefined, // in place of the global one
  random: Math.random,
  pingMs: 25_000, // between two pings
  deadMs: 35_000, // of silence until a connection is given up
  connectMs: 10_000, // until an attempt is given up
  firstRetryMs: 500, // the longest first pause; doubles with each failure
  longestRetryMs: 15_000,
  maxRetries: Infinity,
  stableMs: 5_000, // a connection that lives so long forgets the failures before it
  settleMs: 20_000, // how long waiting texts wait for the others to come back too; more than `longestRetryMs`
  confirmMs: 250, // after a text, until the server is asked whether it came
  typingMs: 3_000, // typing is told this often
  maxQueued: 1_000, // texts that may wait
  maxBuffered: 256 * 1024, // bytes in the socket's buffer above which we wait
  messagesPerSecond: 40, // the server takes 50 ...
  burst: 80, // ... and 100 at once
};

/** Return the pause before the next attempt, in milliseconds: any up to a bound that doubles with each failure. */
export function fullJitter(failures, { random, firstRetryMs, longestRetryMs }) {
  return random() * Math.min(longestRetryMs, firstRetryMs * 2 ** failures);
}

/** Return the pause that a server asks for in the reason of its goodbye; undefined without one. */
export function toldPause(reason) {
  const told = /\bretry_ms=(\d{1,7})\b/.exec(reason);
  return told ? Number(told[1]) : undefined;
}

/** So many a second in the long run, `burst` at once. */
export class Pace {
  constructor(perSecond, burst) {
    this.perMs = perSecond / 1000;
    this.burst = burst;
    this.left = burst;
    this.at = 0;
  }

  /** Spend one; returns for how many milliseconds to wait first, 0 when it is spent. */
  take(now, { force = false } = {}) {
    this.left = Math.min(this.burst, this.left + (now - this.at) * this.perMs);
    this.at = now;
    if (this.left < 1 && !force) return Math.ceil((1 - this.left) / this.perMs);
    this.left -= 1;
    return 0;
  }
}

/** The highest value that held at some moment of the last while. */
export class RecentHighest {
  #kept = []; // [since, value], values falling

  add(now, value) {
    while (this.#kept.length && this.#kept.at(-1)[1] <= value) this.#kept.pop();
    this.#kept.push([now, value]);
  }

  value(now, ms) {
    while (this.#kept.length > 1 && now - this.#kept[1][0] > ms) this.#kept.shift(); // each held until the next
    return this.#kept.length ? this.#kept[0][1] : 0;
  }
}

export const bytes = (text) => new TextEncoder().encode(text).length;

const CONTROL = /[\p{Cc}\p{Cs}]/u; // control characters, and halves of characters
/** Hold a name to the server's rules, so that what is sent is never refused. */
export function checkName(name, longest, what) {
  const length = typeof name === "string" ? [...name].length : 0;
  if (!length || length > longest) throw new RangeError(`${what} has 1 to ${longest} characters`);
  if (CONTROL.test(name)) throw new RangeError(`${what} has no control characters`);
}

/** Return a text that UTF-8 can carry. */
export const wellFormed = (text) => String(text).replace(/\p{Cs}/gu, "\ufffd");
