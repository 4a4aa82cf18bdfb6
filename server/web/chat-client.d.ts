// Types of chat-client.js.

/** `closed`: not connected and not trying; `waiting`: until the next attempt. */
export type ConnectionState = "closed" | "connecting" | "open" | "waiting";

/** What became of a text: written to the socket; known to have arrived; lost or not when the connection broke. */
export type DeliveryStatus = "sent" | "confirmed" | "uncertain";

/** What handlers get, and listeners as `event.detail`; fields of the server's messages are described in its README. */
export interface ChatEvents {
  state: { state: ConnectionState };
  connected: {
    clientId: string;
    heartbeatInterval?: number;
    maxMessageBytes?: number;
    maxUploadBytes?: number;
  };
  /** `retryMs` is the pause until the next attempt, null when there will be none. */
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
  fileShared: { user: string | null; name: string; size: number; mimeType: string };
  error: { message: string; code?: string; about?: string | null };
}

/** `uploadId` and `sha256` are null where the server knows only the guide's messages and answers none to an upload. */
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

/** A value, or a function that is asked for it before each attempt to connect. */
export type Current<Value> = Value | (() => Value | Promise<Value>);

/** Times in milliseconds. */
export interface ChatClientOptions {
  /** In place of the global one. */
  WebSocket?: typeof globalThis.WebSocket;
  random?: () => number;
  /** Sent as `?token=`. A function is asked once more when its token is refused; after that the client stays closed. */
  token?: Current<string | null | undefined>;
  /** Between two pings. */
  pingMs?: number;
  /** Of silence until the connection is given up. */
  deadMs?: number;
  /** Without an answer after a sleep until the connection is given up. */
  probeMs?: number;
  /** Without an answer until an upload is given up. */
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
/** Close codes of the client's own: silence for too long; the function for the URL or the token failed. */
export declare const DEAD: 4000;
export declare const NO_ADDRESS: 4001;

/** What a server says of a token that it refuses, from a `disconnected` event's code and reason; else null. */
export declare function tokenRefusal(code: number, reason: string): { code: string; message: string } | null;

type Handler<Name extends keyof ChatEvents> = ((detail: ChatEvents[Name]) => void) | undefined;
type Listener<Name extends keyof ChatEvents> = (event: ChatEvent<Name>) => void;

/** An EventTarget that knows its events by name. */
declare const Target: new () => Pick<EventTarget, "dispatchEvent">;

export declare class ChatClient extends Target {
  constructor(url: Current<string | URL>, options?: ChatClientOptions);

  readonly state: ConnectionState;
  /** Of the last ping; null before the first answer on a connection. */
  readonly latency: number | null;
  readonly username: string | null;
  readonly room: string | null;
  /** Texts that wait to be written. */
  readonly queued: number;
  /** What the server takes; `maxUploadBytes` is null where it does not say. */
  readonly limits: { maxMessageBytes: number; maxUploadBytes: number | null };

  /** Connect, and come back whenever the connection is lost; while it waits for the next attempt, try at once. */
  connect(): void;
  /** Say goodbye and stay away; texts that wait are kept for the next `connect`. */
  disconnect(): void;
  /** Throws a RangeError for a name that the server would refuse. */
  setUsername(username: string): void;
  /** Throws a RangeError for a name that the server would refuse. */
  joinRoom(room: string): void;
  leaveRoom(): void;
  /**
   * Say something in the room, now or as soon as possible.
   *
   * Returns the id under which `delivery` tells what became of it; 0 when too many texts wait already. Throws a
   * RangeError for a text that is too long, an Error without a room.
   */
  sendMessage(text: string): number;
  /** Tell that one is typing, at most every few seconds; returns whether it was told. */
  sendTyping(): boolean;
  /** Upload a file after those before it; rejects with an UploadError, or with the signal's reason. */
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
