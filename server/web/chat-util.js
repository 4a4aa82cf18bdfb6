// Small parts of the chat client that know no socket.

export const DEFAULTS = {
  WebSocket: undefined, // in place of the global one
  random: Math.random,
  token: undefined, // sent as `?token=`: a string, or a function that returns one or a promise of one
  pingMs: 10_000, // between two pings
  deadMs: 20_000, // of silence until a connection is given up
  probeMs: 5_000, // without an answer after a sleep until a connection is given up
  answerMs: 60_000, // without an answer until an upload is given up
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

/** Return {code, message} of a server's refusal of our token; null for a connection that ended for another reason. */
export function tokenRefusal(code, reason) {
  const [, name, message] = (code === 1008 && /^(token_\w+): (.+)$/s.exec(reason)) || [];
  return name ? { code: name, message } : null;
}

const current = (value) => (typeof value === "function" ? value() : value);

/** Return the URL to connect to, with the token in it; a promise of it where a function returns one. */
export function address(url, token) {
  const parts = [current(url), current(token)];
  return parts.some((part) => typeof part?.then === "function") ? Promise.all(parts).then(joined) : joined(parts);
}

function joined([url, token]) {
  if (token === undefined || token === null) return String(url);
  const whole = new URL(url, globalThis.location?.href);
  whole.searchParams.set("token", token);
  return whole.href;
}

/** Return the WebSocket URL of a path beside the page: it may be served below any prefix. */
export function besidePage(path) {
  const { href, search } = globalThis.location;
  const url = new URL(path, href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:"; // older browsers take no other
  url.search = search; // may hold a token
  return url.href;
}

const SLOWEST_PER_MS = 0.001;
const CATCH_UP_MS = 2_000; // a server's bucket is full again by then

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
    this.#refill(now);
    if (this.left < 1 && !force) return Math.ceil((1 - this.left) / this.perMs);
    this.left -= 1;
    return 0;
  }

  /** Spend one in any case; returns for how many milliseconds to wait until it may be used. */
  reserve(now) {
    this.#refill(now);
    this.left -= 1;
    return this.left < 0 ? Math.ceil(-this.left / this.perMs) : 0;
  }

  /** The server drops messages: go half as fast from here on, after a pause in which it can catch up. */
  slowDown(now) {
    this.#refill(now);
    this.perMs = Math.max(SLOWEST_PER_MS, this.perMs / 2);
    this.burst = Math.max(1, this.burst / 2);
    this.left = Math.min(this.left, 1 - CATCH_UP_MS * this.perMs);
  }

  #refill(now) {
    this.left = Math.min(this.burst, this.left + (now - this.at) * this.perMs);
    this.at = now;
  }
}

/** Whether two names are those of one room: as the server compares them. */
export function isSameRoom(one, other) {
  return one === other || (one !== null && other !== null && normalForm(one) === normalForm(other));
}

function normalForm(name) {
  const plain = name.normalize("NFKC").replace(/\p{Default_Ignorable_Code_Point}/gu, "").normalize("NFKC");
  return plain.trim().replace(/\s+/gu, " ");
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
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}\p{Cn}]/u;
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\p{Co}\p{Zl}\p{Zp}\u2800\ufff9-\ufffc]/gu;
/** Where invisible characters change what is seen: emoji, variants of letters, joiners; these the server looks at. */
const NEEDED =
  /[0-9#*]\ufe0f\u20e3|\p{Extended_Pictographic}[\ufe0e\ufe0f]|[\p{Script=Han}\p{Script=Mongolian}][\u180b-\u180f\ufe00-\ufe02\u{e0100}-\u{e01ef}]|[\u200c\u200d\u{e0020}-\u{e007f}]/gu;

/** Hold a name to the server's rules, so that what is sent is never refused. */
export function checkName(name, longest, what) {
  const length = typeof name === "string" ? [...name].length : 0;
  if (!length || length > longest) throw new RangeError(`${what} has 1 to ${longest} characters`);
  if (CONTROL.test(name)) throw new RangeError(`${what} has no control characters`);
  if (!VISIBLE.test(name.replace(INVISIBLE, ""))) throw new RangeError(`${what} needs a visible character`);
  if (name.replace(NEEDED, "").search(INVISIBLE) >= 0) {
    throw new RangeError(`${what} has no invisible or direction-changing characters`);
  }
}

/** Return a text that UTF-8 can carry. */
export const wellFormed = (text) => String(text).replace(/\p{Cs}/gu, "\ufffd");
