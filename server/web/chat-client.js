// A chat client for browsers and other runtimes with WebSocket, with automatic reconnection.
//
// It is an ES module without dependencies: this file, chat-reconnect.js, chat-heartbeat.js, chat-upload.js and
// chat-util.js.
// chat-client.d.ts has the types for TypeScript.
//
//     const client = new ChatClient("wss://chat.example.org/ws/chat");
//     client.onMessage = ({ user, text }) => console.log(user, text);
//     client.setUsername("ann");
//     client.joinRoom("lobby");
//     client.connect();
//     client.sendMessage("hello");
//
// Rules:
// 1. A text is written to a socket once, in order, and only in the room for which it was sent. It is queued
//    until it can be written. A text in flight when the connection is lost is "uncertain" and is not sent again.
// 2. Everything is bounded: queued texts, bytes in the socket's buffer, messages per second.
// 3. The name and the room are restored first on every new connection.
// 4. The client reconnects until it is told otherwise, with full jitter, or after `retry_ms` if the server sends it.

import { Heartbeat, onWake } from "./chat-heartbeat.js";
import { Reconnection, tokenRefusal } from "./chat-reconnect.js";
import { UploadError, Uploads } from "./chat-upload.js";
import { DEFAULTS, SlidingMaximum, TokenBucket, byteLength, checkName, connectUrl, wellFormed } from "./chat-util.js";

export { UploadError, tokenRefusal };
export const MAX_TEXT_BYTES = 16 * 1024;
export const DEAD = 4000; // close code of the client: the heartbeat timed out
export const NO_ADDRESS = 4001; // close code of the client: the function for the URL or the token failed

const EVENT_OF = { chatMessage: "message", userTyping: "typing" }; // other events are named after the message type
const FORWARDED = new Set([
  ...["usernameSet", "userJoined", "roomJoined", "userLeft", "roomPresence", "roomLeft", "chatMessage", "userTyping"],
  ...["chat", "fileProgress", "fileSaved", "fileShared", "error"],
]);
const WITH_USER_COUNT = new Set(["userJoined", "roomJoined", "userLeft", "roomPresence"]);

/** The event that listeners receive; handlers receive its `detail`. */
export class ChatEvent extends Event {
  constructor(type, detail) {
    super(type);
    this.detail = detail;
  }
}

export class ChatClient extends EventTarget {
  #url;
  #options;
  #state = "closed";
  #socket = null;
  #greeting = null;
  #reconnection;
  #wasOpen = false; // since `connect`
  #timer; // connect timeout, then stability timer, then reconnect timer
  #attempts = 0;
  #heartbeat = null; // of the open connection
  #latency = null;
  #username = null;
  #sentName = null; // on this connection
  #room = null;
  #sentRoom = null; // on this connection
  #recentCount = new SlidingMaximum();
  #lastId = 0;
  #queue = []; // {id, room, text} of texts not written yet
  #inFlight = []; // ids of texts written and not confirmed
  #holdUntil = 0;
  #bucket;
  #flushTimer;
  #confirmTimer;
  #typingSentAt = -Infinity;
  #uploads;
  #stopWakeEvents = null;

  constructor(url, options = {}) {
    super();
    this.#url = typeof url === "function" ? url : String(url);
    this.#options = { ...DEFAULTS, ...options };
    const hasFunction = [this.#url, this.#options.token].some((value) => typeof value === "function");
    this.#reconnection = new Reconnection(this.#options, hasFunction);
    this.#uploads = new Uploads({
      isOpen: () => this.#state === "open",
      maxBytes: () => this.limits.maxUploadBytes,
      buffered: () => this.#socket?.bufferedAmount ?? 0,
      maxBuffered: this.#options.maxBuffered,
      answerMs: this.#options.answerMs,
      reserve: () => this.#bucket.reserve(performance.now()),
      sendMessage: (message) => this.#send(JSON.stringify(message)),
      sendChunk: (chunk) => this.#send(chunk),
    });
  }

  get state() {
    return this.#state;
  }

  get latency() {
    return this.#latency;
  }

  get username() {
    return this.#username;
  }

  get room() {
    return this.#room;
  }

  get queued() {
    return this.#queue.length;
  }

  get limits() {
    const { maxMessageBytes = MAX_TEXT_BYTES, maxUploadBytes = null } = this.#greeting ?? {};
    return { maxMessageBytes, maxUploadBytes };
  }

  connect() {
    if (this.#state === "closed") {
      this.#stopWakeEvents = onWake(() => this.#handleWake());
      this.#reconnection.reset();
      this.#wasOpen = false;
      this.#open();
    } else {
      this.#reconnection.allowNow();
      this.#handleWake();
    }
  }

  disconnect() {
    if (this.#state === "closed") return;
    this.#disconnect(1000, "disconnect", null);
  }

  setUsername(username) {
    checkName(username, 64, "a username");
    this.#username = username;
    this.#flush();
  }

  joinRoom(room) {
    checkName(room, 128, "a room name");
    if (room !== this.#room) this.#recentCount = new SlidingMaximum();
    this.#room = room;
    this.#flush();
  }

  leaveRoom() {
    this.#room = null;
    this.#flush();
  }

  sendMessage(value) {
    const text = wellFormed(value);
    if (this.#room === null) throw new Error("join a room before sending to it");
    if (byteLength(text) > this.limits.maxMessageBytes) {
      throw new RangeError(`a message has at most ${this.limits.maxMessageBytes} bytes`);
    }
    if (this.#queue.length >= this.#options.maxQueued) return 0;
    const id = ++this.#lastId;
    this.#queue.push({ id, room: this.#room, text });
    this.#typingSentAt = -Infinity; // the next keystroke may send `typing` at once
    this.#flush();
    return id;
  }

  sendTyping() {
    const now = performance.now();
    // A typing notice that cannot be sent now is dropped: a late one would be wrong.
    if (this.#state !== "open" || this.#queue.length || this.#sentRoom === null) return false;
    if (now - this.#typingSentAt < this.#options.typingMs || !this.#write({ type: "typing" })) return false;
    this.#typingSentAt = now;
    return true;
  }

  sendFile(file, options = {}) {
    return this.#uploads.send(file, options);
  }

  // --- connecting ---

  #open() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#handleClose(DEAD, "no answer"), this.#options.connectMs);
    this.#setState("connecting");
    const attempt = ++this.#attempts;
    const isCurrent = () => this.#state === "connecting" && attempt === this.#attempts;
    const failed = (error) => isCurrent() && this.#handleClose(NO_ADDRESS, String(error?.message ?? error));
    try {
      const url = connectUrl(this.#url, this.#options.token);
      if (typeof url === "string") this.#createSocket(url);
      else url.then((known) => isCurrent() && this.#createSocket(known)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #createSocket(url) {
    const { WebSocket = globalThis.WebSocket } = this.#options;
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#handleClose(code, reason);
    socket.onerror = () => {}; // a close event follows
    this.#socket = socket;
  }

  #handleConnected(greeting) {
    const { stableMs, settleMs, messagesPerSecond, burst } = this.#options;
    const now = performance.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#reconnection.lasted(), stableMs);
    this.#heartbeat = new Heartbeat(this.#options, {
      send: (number) => this.#write({ type: "ping", timestamp: number }, { force: true }),
      covers: () => this.#inFlight.at(-1) ?? 0,
      buffered: () => this.#socket.bufferedAmount,
      isUploading: () => this.#uploads.isActive,
      onDead: () => this.#handleClose(DEAD, "heartbeat timeout"),
    });
    this.#greeting = greeting;
    this.#sentName = this.#sentRoom = this.#latency = null;
    this.#bucket = new TokenBucket(messagesPerSecond, burst);
    // The server keeps no history, so a text to an empty room is lost: after a restart, wait for the other members.
    this.#holdUntil = this.#wasOpen && this.#queue.length ? now + settleMs : 0;
    this.#wasOpen = true;
    this.#reconnection.accepted();
    this.#heartbeat.ping();
    this.#setState("open");
    this.#emit("connected", greeting);
    this.#flush();
  }

  #handleClose(code, reason) {
    this.#disconnect(code, reason, this.#reconnection.delayAfter(code, reason));
  }

  /** Close the connection and schedule the next attempt, unless `retryMs` is null. */
  #disconnect(code, reason, retryMs) {
    const socket = this.#socket;
    this.#socket = null;
    for (const timer of [this.#timer, this.#flushTimer, this.#confirmTimer]) clearTimeout(timer);
    this.#confirmTimer = undefined;
    this.#heartbeat?.stop();
    this.#heartbeat = null;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close(...(code === 1000 || code === DEAD ? [code, reason] : []));
    }
    const uncertain = this.#inFlight.splice(0);
    if (retryMs === null) this.#stopWakeEvents();
    else this.#timer = setTimeout(() => this.#open(), retryMs);
    this.#setState(retryMs === null ? "closed" : "waiting");
    this.#uploads.lost();
    for (const id of uncertain) this.#emit("delivery", { id, status: "uncertain" });
    this.#emit("disconnected", { code, reason, retryMs });
  }

  /** Reconnect at once, or check that an open connection still works: the network or the page is back. */
  #handleWake() {
    if (this.#state === "open") this.#heartbeat.probe();
    else if (this.#state === "waiting" && this.#reconnection.isAllowed) this.#open();
  }

  #setState(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.#emit("state", { state });
  }

  // --- receiving ---

  #receive(data) {
    this.#heartbeat?.received();
    let message = null;
    try {
      message = JSON.parse(data);
    } catch {
      return; // not a message of this protocol
    }
    const type = message?.type;
    if (type === "connected" && this.#state === "connecting") this.#handleConnected(message);
    else if (type === "pong") this.#handlePong(message.timestamp);
    this.#uploads.receive(message);
    if (!FORWARDED.has(type)) return;
    if (type === "error") this.#handleError(message);
    if (WITH_USER_COUNT.has(type)) this.#handleUserCount(message.userCount);
    this.#emit(EVENT_OF[type] ?? type, message);
  }

  #handleUserCount(people) {
    const now = performance.now();
    const { settleMs } = this.#options;
    if (this.#holdUntil) this.#holdUntil = people >= this.#recentCount.value(now, 2 * settleMs) ? 0 : now + settleMs;
    else this.#recentCount.add(now, people);
    this.#flush();
  }

  #handleError({ code }) {
    if (code !== "rate_limited" && code !== "no_room") return;
    // The server dropped one of our messages and does not say which. If it was `joinRoom`, later texts are lost too.
    this.#sentRoom = null;
    if (code === "rate_limited") {
      this.#sentName = null;
      this.#bucket.slowDown(performance.now());
      this.#heartbeat.discardPings();
    }
    for (const id of this.#inFlight.splice(0)) this.#emit("delivery", { id, status: "uncertain" });
    this.#flushIn(1000);
  }

  // --- sending ---

  /** Send the name, the queued texts and the room, as far as the rate limit and the socket allow. */
  #flush() {
    if (this.#state !== "open") return;
    const now = performance.now();
    if (this.#username !== this.#sentName) {
      if (!this.#write({ type: "setUsername", username: this.#username })) return;
      this.#sentName = this.#username;
    }
    while (this.#queue.length) {
      const { id, room, text } = this.#queue[0];
      if (!this.#switchRoom(room)) return;
      if (now < this.#holdUntil) return void this.#flushIn(this.#holdUntil - now);
      if (this.#socket.bufferedAmount > this.#options.maxBuffered) return void this.#flushIn(50);
      if (!this.#write({ type: "chatMessage", text })) return;
      this.#queue.shift();
      this.#inFlight.push(id);
      this.#scheduleConfirmation();
      this.#emit("delivery", { id, status: "sent" });
    }
    this.#holdUntil = 0;
    this.#switchRoom(this.#room);
  }

  #flushIn(ms) {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = setTimeout(() => this.#flush(), ms);
  }

  #switchRoom(room) {
    if (room === this.#sentRoom) return true;
    if (!this.#write(room === null ? { type: "leaveRoom" } : { type: "joinRoom", room })) return false;
    this.#sentRoom = room;
    return true;
  }

  /** Send a message if the rate limit allows; otherwise schedule another flush. Returns whether it was sent. */
  #write(message, options) {
    const wait = this.#bucket.take(performance.now(), options);
    if (wait) this.#flushIn(wait);
    else this.#send(JSON.stringify(message));
    return !wait;
  }

  #send(data) {
    this.#heartbeat.sent(typeof data === "string" ? byteLength(data) : data.byteLength);
    this.#socket.send(data);
  }

  // --- heartbeat ---

  /** Messages are handled in order, so a pong confirms the texts written before its ping. */
  #handlePong(number) {
    const answer = this.#heartbeat?.answered(number) ?? null;
    if (answer === null) return;
    this.#latency = answer.ms;
    this.#emit("latency", { ms: this.#latency });
    while (this.#inFlight[0] <= answer.covers) {
      this.#emit("delivery", { id: this.#inFlight.shift(), status: "confirmed" });
    }
    if (this.#inFlight.length) this.#scheduleConfirmation();
  }

  #scheduleConfirmation() {
    this.#confirmTimer ??= setTimeout(() => this.#requestConfirmation(), this.#options.confirmMs);
  }

  #requestConfirmation() {
    this.#confirmTimer = undefined;
    if (!this.#heartbeat.isWaiting) this.#heartbeat.ping(); // otherwise the pong that is due confirms the texts
  }

  #emit(type, detail) {
    this[`on${type[0].toUpperCase()}${type.slice(1)}`]?.(detail);
    this.dispatchEvent(new ChatEvent(type, detail));
  }
}
