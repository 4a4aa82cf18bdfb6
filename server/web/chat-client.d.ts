// Types of chat-client.js.

/** `closed`: not connected and not reconnecting; `waiting`: until the next attempt. */
export type ConnectionState = "closed" | "connecting" | "open" | "waiting";

/** State of a text: written to the socket; received by the server; in flight when the connection was lost. */
export type DeliveryStatus = "sent" | "confirmed" | "uncertain";

/** Arguments of handlers, and `event.detail` of listeners. The server's README describes the fields of its messages. */
export interface ChatEvents {
  state: { state: ConnectionState };
  connected: {
    clientId: string;
    heartbeatInterval?: number;
    maxMessageBytes?: number;
    maxUploadBytes?: number;
  };
  /** `retryMs` is the delay before the next attempt, or null if there will be none. */
  disconnected: { code: number; reason: string; retryMs: number | null };
  latency: { ms: number };
  delivery: { id: number; status: DeliveryStatus };
  usernameSet: { username: string };
  roomJoined: { room: string; userCount: number };
  roomLeft: { room: string };
  userJoined: { user: string | null; room: string; userCount: number };
  userLeft: { user: string | null; userCount: number; room?: string };
  roomPresence: { room: string; userCount: number; joined: number; left: number };
  message: { user: string | null; text: string; timestamp: number };
  typing: { user: string | null };
  chat: { user: string; text: string };
  fileProgress: { uploadId: string; received: number; size: number };
  fileSaved: FileSaved;
  /** The file is at `files/<uploadId>` of the server, until it expires. */
  fileShared: { user: string | null; name: string; size: number; mimeType: string; uploadId: string };
  error: { message: string; code?: string; about?: string | null };
}

/** `uploadId` and `sha256` are null for a server that does not answer upload messages. */
export interface FileSaved {
  uploadId: string | null;
  name: string;
  size: number;
  sha256: string | null;
}

export interface SendFileOptions {
  onProgress?: (progress: { loaded: number; total: number }) => void;
  signal?: AbortSignal;
}

/** A value, or a function that returns it and is called before each attempt to connect. */
export type Current<Value> = Value | (() => Value | Promise<Value>);

/** Options; times in milliseconds. chat-util.js has the defaults. */
export interface ChatClientOptions {
  /** Used instead of the global one. */
  WebSocket?: typeof globalThis.WebSocket;
  random?: () => number;
  /** Sent as `?token=`. If a token is refused, a function is called once more; then the client stays closed. */
  token?: Current<string | null | undefined>;
  /** Interval between pings. */
  pingMs?: number;
  /** Silence until the connection counts as dead. */
  deadMs?: number;
  /** The same after a sleep. */
  probeMs?: number;
  /** Timeout for the server's answers to an upload. */
  answerMs?: number;
  connectMs?: number;
  firstRetryMs?: number;
  longestRetryMs?: number;
  maxRetries?: number;
  stableMs?: number;
  settleMs?: number;
  confirmMs?: number;
  typingMs?: number;
  maxQueued?: number;
  maxBuffered?: number;
  messagesPerSecond?: number;
  burst?: number;
}

export declare class ChatEvent<Name extends keyof ChatEvents = keyof ChatEvents> extends Event {
  readonly type: Name;
  readonly detail: ChatEvents[Name];
}

export declare class UploadError extends Error {
  readonly code: string | null;
}

export declare const MAX_TEXT_BYTES: number;
/** Close codes of the client: heartbeat timeout; the function for the URL or the token failed. */
export declare const DEAD: 4000;
export declare const NO_ADDRESS: 4001;

/** Return why the server refused the token, from a `disconnected` event's code and reason, or null. */
export declare function tokenRefusal(code: number, reason: string): { code: string; message: string } | null;

type Handler<Name extends keyof ChatEvents> = ((detail: ChatEvents[Name]) => void) | undefined;
type Listener<Name extends keyof ChatEvents> = (event: ChatEvent<Name>) => void;

/** An EventTarget with typed events. */
declare const Target: new () => Pick<EventTarget, "dispatchEvent">;

export declare class ChatClient extends Target {
  constructor(url: Current<string | URL>, options?: ChatClientOptions);

  readonly state: ConnectionState;
  /** Round-trip time of the last ping in milliseconds; null before the first pong of a connection. */
  readonly latency: number | null;
  readonly username: string | null;
  readonly room: string | null;
  /** Number of texts not written yet. */
  readonly queued: number;
  /** The server's limits; `maxUploadBytes` is null if it does not announce one. */
  readonly limits: { maxMessageBytes: number; maxUploadBytes: number | null };

  /** Connect, and reconnect whenever the connection is lost. In state `waiting`, reconnect at once. */
  connect(): void;
  /** Close the connection and do not reconnect. Queued texts are kept for the next `connect`. */
  disconnect(): void;
  /** Throws a RangeError for a name that the server would refuse. */
  setUsername(username: string): void;
  /** Throws a RangeError for a name that the server would refuse. */
  joinRoom(room: string): void;
  leaveRoom(): void;
  /**
   * Send a text to the room, now or as soon as possible.
   *
   * Returns the id that `delivery` events carry, or 0 when the queue is full. Throws a RangeError for a text that is
   * too long, and an Error before `joinRoom`.
   */
  sendMessage(text: string): number;
  /** Send a typing notice, at most every `typingMs`. Returns whether it was sent. */
  sendTyping(): boolean;
  /** Upload a file after the previous ones. Rejects with an UploadError or with the signal's reason. */
  sendFile(file: Blob & { readonly name?: string }, options?: SendFileOptions): Promise<FileSaved>;

  onState: Handler<"state">;
  onConnected: Handler<"connected">;
  onDisconnected: Handler<"disconnected">;
  onLatency: Handler<"latency">;
  onDelivery: Handler<"delivery">;
  onUsernameSet: Handler<"usernameSet">;
  onRoomJoined: Handler<"roomJoined">;
  onRoomLeft: Handler<"roomLeft">;
  onUserJoined: Handler<"userJoined">;
  onUserLeft: Handler<"userLeft">;
  onRoomPresence: Handler<"roomPresence">;
  onMessage: Handler<"message">;
  onTyping: Handler<"typing">;
  onChat: Handler<"chat">;
  onFileProgress: Handler<"fileProgress">;
  onFileSaved: Handler<"fileSaved">;
  onFileShared: Handler<"fileShared">;
  onError: Handler<"error">;

  addEventListener<Name extends keyof ChatEvents>(
    type: Name,
    listener: Listener<Name>,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<Name extends keyof ChatEvents>(
    type: Name,
    listener: Listener<Name>,
    options?: boolean | EventListenerOptions,
  ): void;
}
