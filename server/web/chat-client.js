// A chat client for browsers, and for whatever else has a WebSocket: one connection that comes back by itself.
// An ES module without dependencies: this file, chat-heartbeat.js, chat-util.js and chat-upload.js, with chat-client.d.ts
// for TypeScript.
//
//     const client = new ChatClient("wss://chat.example.org/ws/chat");
//     client.onMessage = ({ user, text }) => console.log(user, text);
//     client.setUsername("ann");
//     client.joinRoom("lobby");
//     client.connect();
//     client.sendMessage("hello");
//
// Laws:
// 1. A text is written to a socket once, in order, and only in the room in which it was said. What cannot be sent now
//    waits. What was on its way when a connection broke is told as "uncertain", never sent again behind one's back.
// 2. Nothing grows without bound: texts that wait, bytes in the socket's buffer, messages a second.
// 3. Name and room are wishes that hold until they change; every new connection fulfils them first.
// 4. Coming back never stops and never stampedes: full jitter, and the server's own word (`retry_ms`) where it has one.

import { Heartbeat, onWake } from "./chat-heartbeat.js";
import { DEFAULTS, Pace, RecentHighest, address, bytes, checkName, fullJitter } from "./chat-util.js";
import { toldPause, tokenRefusal, wellFormed } from "./chat-util.js";
import { UploadError, Uploads } from "./chat-upload.js";

export { UploadError, tokenRefusal };
export const MAX_TEXT_BYTES = 16 * 1024;
export const DEAD = 4000; // close code of our own: nothing was heard for too long
export const NO_ADDRESS = 4001; // another: the function for the URL or the token failed

const FINAL_CODES = new Set([1000, 1002, 1007, 1008, 1009]); // the same behaviour would end the same way
const BUSY = 1013; // overloaded, or we were too slow: come back later than after other losses
const BUSY_HEAD_START = 3; // as if so many attempts had failed already

const EVENT_OF = { chatMessage: "message", userTyping: "typing" }; // others have the name of their type
const TOLD = new Set([
  ...["usernameSet", "userJoined", "roomJoined", "userLeft", "roomPresence", "roomLeft", "chatMessage", "userTyping"],
  ...["chat", "fileProgress", "fileSaved", "fileShared", "error"],
]);
const COUNTING = new Set(["userJoined", "roomJoined", "userLeft", "roomPresence"]);


/** What listeners get; `detail` is what the handler of the same name gets. */
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
  #failures = 0;
  #wasOpen = false; // since `connect`
  #wasRefused = false; // the last attempt, for its token
  #timer; // of the attempt, then of the connection's becoming stable, then of the next attempt
  #toldUntil = 0; // by the wall clock: the server asked us to stay away until then
  #attempts = 0;
  #heartbeat = null; // of the open connection
  #latency = null;
  #username = null;
  #saidName = null; // on this connection
  #room = null;
  #saidRoom = null; // on this connection
  #people = new RecentHighest();
  #ids = 0;
  #queue = []; // {id, room, text}: not yet written
  #inFlight = []; // ids: written, and not confirmed
  #holdUntil = 0;
  #pace;
  #flushTimer;
  #confirmTimer;
  #typedAt = -Infinity;
  #uploads;
  #endWaking = null;

  constructor(url, options = {}) {
    super();
    this.#url = typeof url === "function" ? url : String(url);
    this.#options = { ...DEFAULTS, ...options };
    this.#uploads = new Uploads({
      isOpen: () => this.#state === "open",
      mostBytes: () => this.limits.maxUploadBytes,
      buffered: () => this.#socket?.bufferedAmount ?? 0,
      maxBuffered: this.#options.maxBuffered,
      answerMs: this.#options.answerMs,
      reserve: () => this.#pace.reserve(performance.now()),
      say: (message) => this.#put(JSON.stringify(message)),
      put: (chunk) => this.#put(chunk),
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
      this.#endWaking = onWake(() => this.#wake());
      this.#failures = 0;
      this.#wasOpen = this.#wasRefused = false;
      this.#open();
    } else {
      this.#toldUntil = 0; // somebody asks
      this.#wake();
    }
  }

  disconnect() {
    if (this.#state === "closed") return;
    this.#drop(1000, "goodbye", null);
  }

  setUsername(username) {
    checkName(username, 64, "a username");
    this.#username = username;
    this.#flush();
  }

  joinRoom(room) {
    checkName(room, 128, "a room's name");
    if (room !== this.#room) this.#people = new RecentHighest();
    this.#room = room;
    this.#flush();
  }

  leaveRoom() {
    this.#room = null;
    this.#flush();
  }

  sendMessage(words) {
    const text = wellFormed(words);
    if (this.#room === null) throw new Error("join a room before sending to it");
    if (bytes(text) > this.limits.maxMessageBytes) {
      throw new RangeError(`a message has at most ${this.limits.maxMessageBytes} bytes`);
    }
    if (this.#queue.length >= this.#options.maxQueued) return 0;
    const id = ++this.#ids;
    this.#queue.push({ id, room: this.#room, text });
    this.#typedAt = -Infinity; // the next keystroke begins something new
    this.#flush();
    return id;
  }

  sendTyping() {
    const now = performance.now();
    // Old news is none: what cannot be told at once is not told.
    if (this.#state !== "open" || this.#queue.length || this.#saidRoom === null) return false;
    if (now - this.#typedAt < this.#options.typingMs || !this.#write({ type: "typing" })) return false;
    this.#typedAt = now;
    return true;
  }

  sendFile(file, options = {}) {
    return this.#uploads.send(file, options);
  }

  // --- connecting ---

  #open() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(DEAD, "no answer"), this.#options.connectMs);
    this.#setState("connecting");
    const attempt = ++this.#attempts;
    const isCurrent = () => this.#state === "connecting" && attempt === this.#attempts;
    const failed = (error) => isCurrent() && this.#lost(NO_ADDRESS, String(error?.message ?? error));
    try {
      const url = address(this.#url, this.#options.token);
      if (typeof url === "string") this.#dial(url);
      else url.then((known) => isCurrent() && this.#dial(known)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #dial(url) {
    const { WebSocket = globalThis.WebSocket } = this.#options;
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    socket.onerror = () => {}; // `close` follows
    this.#socket = socket;
  }

  #greeted(greeting) {
    const { stableMs, settleMs, messagesPerSecond, burst } = this.#options;
    const now = performance.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#failures = 0), stableMs);
    this.#heartbeat = new Heartbeat(this.#options, {
      send: (number) => this.#write({ type: "ping", timestamp: number }, { force: true }),
      covers: () => this.#inFlight.at(-1) ?? 0,
      buffered: () => this.#socket.bufferedAmount,
      isUploading: () => this.#uploads.isActive,
      dead: () => this.#lost(DEAD, "no sign of life"),
    });
    this.#greeting = greeting;
    this.#saidName = this.#saidRoom = this.#latency = null;
    this.#pace = new Pace(messagesPerSecond, burst);
    // A server without a history loses what is said to an empty room: if all of us were thrown out, wait for the others.
    this.#holdUntil = this.#wasOpen && this.#queue.length ? now + settleMs : 0;
    this.#wasOpen = true;
    this.#wasRefused = false;
    this.#heartbeat.ping();
    this.#setState("open");
    this.#emit("connected", greeting);
    this.#flush();
  }

  #lost(code, reason) {
    if (code === BUSY) this.#failures += BUSY_HEAD_START;
    const told = toldPause(reason);
    const retryMs = told ?? fullJitter(this.#failures, this.#options);
    this.#toldUntil = told === undefined ? 0 : Date.now() + told;
    this.#failures += 1;
    // A function may return a newer token: ask it once. The same token would be refused for ever.
    const isRefused = tokenRefusal(code, reason) !== null;
    const hasFunction = [this.#url, this.#options.token].some((it) => typeof it === "function");
    const mayAsk = isRefused && hasFunction && !this.#wasRefused;
    this.#wasRefused = isRefused;
    const isOver = (FINAL_CODES.has(code) && !mayAsk) || this.#failures > this.#options.maxRetries;
    this.#drop(code, reason, isOver ? null : retryMs);
  }

  /** Be without a connection from here on; `retryMs` null: for good. */
  #drop(code, reason, retryMs) {
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
    if (retryMs === null) this.#endWaking();
    else this.#timer = setTimeout(() => this.#open(), retryMs);
    this.#setState(retryMs === null ? "closed" : "waiting");
    this.#uploads.lost();
    for (const id of uncertain) this.#emit("delivery", { id, status: "uncertain" });
    this.#emit("disconnected", { code, reason, retryMs });
  }

  /** The network or the page is back, or somebody asks: try at once, or look whether the connection still lives. */
  #wake() {
    if (this.#state === "open") this.#heartbeat.probe();
    else if (this.#state === "waiting" && Date.now() >= this.#toldUntil) this.#open();
  }

  #setState(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.#emit("state", { state });
  }

  // --- receiving ---

  #receive(data) {
    this.#heartbeat?.heard();
    let message = null;
    try {
      message = JSON.parse(data);
    } catch {
      return; // not of this protocol
    }
    const type = message?.type;
    if (type === "connected" && this.#state === "connecting") this.#greeted(message);
    else if (type === "pong") this.#ponged(message.timestamp);
    this.#uploads.hear(message);
    if (!TOLD.has(type)) return;
    if (type === "error") this.#refused(message);
    if (COUNTING.has(type)) this.#counted(message.userCount);
    this.#emit(EVENT_OF[type] ?? type, message);
  }

  #counted(people) {
    const now = performance.now();
    const { settleMs } = this.#options;
    if (this.#holdUntil) this.#holdUntil = people >= this.#people.value(now, 2 * settleMs) ? 0 : now + settleMs;
    else this.#people.add(now, people);
    this.#flush();
  }

  #refused({ code }) {
    if (code !== "rate_limited" && code !== "no_room") return;
    // Some message of ours was dropped, and nobody says which: if it was the one that enters the room, none is heard.
    this.#saidRoom = null;
    if (code === "rate_limited") {
      this.#saidName = null;
      this.#pace.slowDown(performance.now());
      this.#heartbeat.giveUpPings();
    }
    for (const id of this.#inFlight.splice(0)) this.#emit("delivery", { id, status: "uncertain" });
    this.#flushIn(1000);
  }

  // --- sending ---

  /** Fulfil all wishes as far as that is possible now. */
  #flush() {
    if (this.#state !== "open") return;
    const now = performance.now();
    if (this.#username !== this.#saidName) {
      if (!this.#write({ type: "setUsername", username: this.#username })) return;
      this.#saidName = this.#username;
    }
    while (this.#queue.length) {
      const { id, room, text } = this.#queue[0];
      if (!this.#enter(room)) return;
      if (now < this.#holdUntil) return void this.#flushIn(this.#holdUntil - now);
      if (this.#socket.bufferedAmount > this.#options.maxBuffered) return void this.#flushIn(50);
      if (!this.#write({ type: "chatMessage", text })) return;
      this.#queue.shift();
      this.#inFlight.push(id);
      this.#confirmTimer ??= setTimeout(() => this.#confirm(), this.#options.confirmMs);
      this.#emit("delivery", { id, status: "sent" });
    }
    this.#holdUntil = 0;
    this.#enter(this.#room);
  }

  #flushIn(ms) {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = setTimeout(() => this.#flush(), ms);
  }

  #enter(room) {
    if (room === this.#saidRoom) return true;
    if (!this.#write(room === null ? { type: "leaveRoom" } : { type: "joinRoom", room })) return false;
    this.#saidRoom = room;
    return true;
  }

  /** Write a message, unless it is too soon; then we come back for it. */
  #write(message, options) {
    const wait = this.#pace.take(performance.now(), options);
    if (wait) this.#flushIn(wait);
    else this.#put(JSON.stringify(message));
    return !wait;
  }

  #put(data) {
    this.#heartbeat.wrote(typeof data === "string" ? bytes(data) : data.byteLength);
    this.#socket.send(data);
  }

  // --- health ---

  /** Messages take effect in order: a pong says that the texts written before its ping have arrived. */
  #ponged(number) {
    const answer = this.#heartbeat?.answered(number) ?? null;
    if (answer === null) return;
    this.#latency = answer.ms;
    this.#emit("latency", { ms: this.#latency });
    while (this.#inFlight[0] <= answer.covers) {
      this.#emit("delivery", { id: this.#inFlight.shift(), status: "confirmed" });
    }
    if (this.#inFlight.length) this.#confirmTimer ??= setTimeout(() => this.#confirm(), this.#options.confirmMs);
  }

  #confirm() {
    this.#confirmTimer = undefined;
    if (!this.#heartbeat.isWaiting) this.#heartbeat.ping(); // else its pong sees to it
  }

  #emit(type, detail) {
    this[`on${type[0].toUpperCase()}${type.slice(1)}`]?.(detail);
    this.dispatchEvent(new ChatEvent(type, detail));
  }
}
