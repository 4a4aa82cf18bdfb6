// When a client reconnects: the delay after each close, and the closes after which it gives up.

const FINAL_CODES = new Set([1000, 1002, 1007, 1008, 1009]); // an error of this client, or a normal close
const BUSY = 1013; // overloaded, or this client was a slow consumer: wait longer than after other closes
const BUSY_EXTRA_FAILURES = 3; // added to the number of failed attempts

/** Return a random delay before the next attempt, in milliseconds; its bound doubles with each failure. */
export function fullJitter(failures, { random, firstRetryMs, longestRetryMs }) {
  return random() * Math.min(longestRetryMs, firstRetryMs * 2 ** failures);
}

/** Return the delay that a server requests in the reason of its close frame (`retry_ms`), or undefined. */
export function retryDelay(reason) {
  const match = /\bretry_ms=(\d{1,7})\b/.exec(reason);
  return match ? Number(match[1]) : undefined;
}

/** Return {code, message} when a close frame refuses the token, or null for any other close frame. */
export function tokenRefusal(code, reason) {
  const [, name, message] = (code === 1008 && /^(token_\w+): (.+)$/s.exec(reason)) || [];
  return name ? { code: name, message } : null;
}

/** The attempts of one client to connect. `hasFunction`: the URL or the token comes from a function. */
export class Reconnection {
  #options;
  #hasFunction;
  #failures = 0;
  #wasRefused = false; // whether the last attempt failed because of its token
  #notBefore = 0; // wall clock; set by the server's `retry_ms`

  constructor(options, hasFunction) {
    this.#options = options;
    this.#hasFunction = hasFunction;
  }

  /** Whether the server's `retry_ms` has passed. */
  get isAllowed() {
    return Date.now() >= this.#notBefore;
  }

  /** The caller connects: earlier failures do not count, and neither does the server's `retry_ms`. */
  reset() {
    this.#failures = 0;
    this.#wasRefused = false;
    this.#notBefore = 0;
  }

  /** The caller overrides the server's `retry_ms`. */
  allowNow() {
    this.#notBefore = 0;
  }

  /** The server accepted the connection, with its token. */
  accepted() {
    this.#wasRefused = false;
  }

  /** The connection has lasted: earlier failures do not count. */
  lasted() {
    this.#failures = 0;
  }

  /** Count a failure. Returns the milliseconds until the next attempt, or null if there must be none. */
  delayAfter(code, reason) {
    if (code === BUSY) this.#failures += BUSY_EXTRA_FAILURES;
    const requested = retryDelay(reason);
    const retryMs = requested ?? fullJitter(this.#failures, this.#options);
    this.#notBefore = requested === undefined ? 0 : Date.now() + requested;
    this.#failures += 1;
    // A function may return a newer token, so it is called once more. A fixed token would be refused again.
    const isRefused = tokenRefusal(code, reason) !== null;
    const mayRetry = isRefused && this.#hasFunction && !this.#wasRefused;
    this.#wasRefused = isRefused;
    const isOver = (FINAL_CODES.has(code) && !mayRetry) || this.#failures > this.#options.maxRetries;
    return isOver ? null : retryMs;
  }
}
