// Options and pure functions of the chat client; nothing here uses a socket.

export const DEFAULTS = {
  WebSocket: undefined, // used instead of the global one
  random: Math.random,
  token: undefined, // sent as `?token=`: a string, or a function that returns a string or a promise
  pingMs: 10_000, // interval between pings
  deadMs: 20_000, // silence until a connection counts as dead
  probeMs: 5_000, // the same after a sleep
  answerMs: 60_000, // timeout for the server's answers to an upload
  connectMs: 10_000, // timeout of an attempt to connect
  firstRetryMs: 500, // bound of the first random delay; doubles with each failure
  longestRetryMs: 15_000,
  maxRetries: Infinity,
  stableMs: 5_000, // after a connection of this length the failures are reset
  settleMs: 20_000, // how long queued texts wait for the other members to rejoin; more than `longestRetryMs`
  confirmMs: 250, // delay from a text to the ping that confirms it
  typingMs: 3_000, // minimum interval between typing notices
  maxQueued: 1_000, // queued texts
  maxBuffered: 256 * 1024, // bytes in the socket's buffer above which sending pauses
  messagesPerSecond: 40, // the server allows 50 ...
  burst: 80, // ... with a burst of 100
};

const evaluate = (value) => (typeof value === "function" ? value() : value);

/** Return the URL to connect to, with the token; a promise of it if a function returns a promise. */
export function connectUrl(url, token) {
  const parts = [evaluate(url), evaluate(token)];
  return parts.some((part) => typeof part?.then === "function") ? Promise.all(parts).then(withToken) : withToken(parts);
}

function withToken([url, token]) {
  if (token === undefined || token === null) return String(url);
  const whole = new URL(url, globalThis.location?.href);
  whole.searchParams.set("token", token);
  return whole.href;
}

/** Return the WebSocket URL of a path relative to the page, which may be served below a prefix. */
export function relativeWebSocketUrl(path) {
  const { href, search } = globalThis.location;
  const url = new URL(path, href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:"; // older browsers accept no http: URL
  url.search = search; // may hold a token
  return url.href;
}

const SLOWEST_PER_MS = 0.001;
const CATCH_UP_MS = 2_000; // time until the server's token bucket is full again

/** A token bucket: `perSecond` messages a second, with a burst. */
export class TokenBucket {
  constructor(perSecond, burst) {
    this.perMs = perSecond / 1000;
    this.burst = burst;
    this.left = burst;
    this.at = 0;
  }

  /** Take a token. Returns 0, or the milliseconds to wait if there is none; `force` takes it in any case. */
  take(now, { force = false } = {}) {
    this.#refill(now);
    if (this.left < 1 && !force) return Math.ceil((1 - this.left) / this.perMs);
    this.left -= 1;
    return 0;
  }

  /** Take a token in advance. Returns the milliseconds to wait before it may be used. */
  reserve(now) {
    this.#refill(now);
    this.left -= 1;
    return this.left < 0 ? Math.ceil(-this.left / this.perMs) : 0;
  }

  /** Halve the rate, after a pause in which the server's bucket refills: the server dropped a message. */
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

/** Return whether two names mean the same room, by the server's rules. */
export function isSameRoom(one, other) {
  return one === other || (one !== null && other !== null && roomKey(one) === roomKey(other));
}

/** Return the form in which the server compares the names of rooms. */
export function roomKey(name) {
  const plain = name.normalize("NFKC").replace(/\p{Default_Ignorable_Code_Point}/gu, "").normalize("NFKC");
  return plain.trim().replace(/\s+/gu, " ");
}

/** The maximum of a value over the last milliseconds. */
export class SlidingMaximum {
  #kept = []; // [since, value] with falling values; each holds until the next

  add(now, value) {
    while (this.#kept.length && this.#kept.at(-1)[1] <= value) this.#kept.pop();
    this.#kept.push([now, value]);
  }

  value(now, ms) {
    while (this.#kept.length > 1 && now - this.#kept[1][0] > ms) this.#kept.shift();
    return this.#kept.length ? this.#kept[0][1] : 0;
  }
}

export const byteLength = (text) => new TextEncoder().encode(text).length;

const CONTROL = /[\p{Cc}\p{Cs}]/u; // control characters and lone surrogates
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}\p{Cn}]/u;
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\p{Co}\p{Zl}\p{Zp}\u2800\ufff9-\ufffc]/gu;
/** Invisible characters that change how text looks: emoji, variants of letters, joiners. The server checks these. */
const NEEDED =
  /[0-9#*]\ufe0f\u20e3|\p{Extended_Pictographic}[\ufe0e\ufe0f]|[\p{Script=Han}\p{Script=Mongolian}][\u180b-\u180f\ufe00-\ufe02\u{e0100}-\u{e01ef}]|[\u200c\u200d\u{e0020}-\u{e007f}]/gu;

/** Throw a RangeError for a name that the server would refuse. */
export function checkName(name, longest, what) {
  const length = typeof name === "string" ? [...name].length : 0;
  if (!length || length > longest) throw new RangeError(`${what} has 1 to ${longest} characters`);
  if (CONTROL.test(name)) throw new RangeError(`${what} has no control characters`);
  if (!VISIBLE.test(name.replace(INVISIBLE, ""))) throw new RangeError(`${what} needs a visible character`);
  if (name.replace(NEEDED, "").search(INVISIBLE) >= 0) {
    throw new RangeError(`${what} has no invisible or direction-changing characters`);
  }
}

/** Return the text with lone surrogates replaced, so that UTF-8 can encode it. */
export const wellFormed = (text) => String(text).replace(/\p{Cs}/gu, "\ufffd");
