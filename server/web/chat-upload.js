// Files in chunks, one after the other: `fileStart`, numbered chunks, `fileEnd`.

export const CHUNK_BYTES = 64 * 1024;

const CHUNK_HEADER_BYTES = 4;
const POLL_MS = 10; // no event tells that a socket's buffer has drained
const REPEAT_MS = 3_000; // without an answer until a message is repeated; doubles


/** An upload failed, or a connection was lost under it; `code` is that of the server's `error`, where it sent one. */
export class UploadError extends Error {
  constructor(message, code = null) {
    super(message);
    this.name = "UploadError";
    this.code = code;
  }
}

/** One upload in progress, as far as the server has answered it. */
class Transfer {
  ready = null; // the server's `fileReady`
  saved = null; // its `fileSaved`
  error = null;
  isRefused = false; // by the server
  heardAt = performance.now();
  wake = () => {}; // ends a pause early

  fail(error) {
    this.error ??= error;
    this.wake();
  }

  /** Wait so long, or until something happens: timers of a background tab may take a minute. */
  pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  check() {
    if (this.error) throw this.error;
  }
}

/**
 * All uploads of a client.
 *
 * `link` is its connection: isOpen(), mostBytes() (null for a server that knows only the guide's messages and says
 * nothing to an upload), buffered(), maxBuffered, answerMs, reserve() a message (returns for how long to wait with it),
 * say(message), put(chunk).
 */
export class Uploads {
  #link;
  #transfer = null;
  #last = Promise.resolve();

  constructor(link) {
    this.#link = link;
  }

  /** Send a file after those before it: the server takes one at a time. */
  send(file, { onProgress, signal }) {
    let hasBegun = false;
    const upload = this.#last.then(() => {
      hasBegun = true;
      return this.#send(file, onProgress, signal);
    });
    this.#last = upload.catch(() => {});
    return new Promise((resolve, reject) => {
      upload.then(resolve, reject);
      signal?.addEventListener("abort", () => hasBegun || reject(signal.reason), { once: true });
    });
  }

  /** Whether a file is on its way. */
  get isActive() {
    return this.#transfer !== null;
  }

  /** Take note of what the server says; it answers in order. */
  hear(message) {
    const transfer = this.#transfer;
    if (transfer === null) return;
    const { type, uploadId } = message ?? {};
    if (type === "fileReady") transfer.ready = message;
    else if (type === "fileSaved" && uploadId === transfer.ready?.uploadId) transfer.saved = message;
    else if (type === "error" && String(message.code).startsWith("upload_")) this.#refused(transfer, message);
    else if (type !== "fileProgress") return;
    transfer.heardAt = performance.now();
    transfer.wake();
  }

  #refused(transfer, { about, code, message }) {
    // The answer to a message that we repeated, although the server had taken the first one.
    if (code === "upload_active" || (code === "upload_missing" && about === "fileEnd")) return;
    // Until it is ready, other errors are about chunks of the one before.
    if (about !== "fileStart" && !transfer.ready) return;
    transfer.isRefused = true;
    transfer.fail(new UploadError(message, code));
  }

  /** Take note that the connection is gone. */
  lost() {
    this.#transfer?.fail(new UploadError("the connection was lost"));
  }

  async #send(file, onProgress, signal) {
    signal?.throwIfAborted();
    const link = this.#link;
    const most = link.mostBytes();
    if (!link.isOpen()) throw new UploadError("there is no connection");
    if (most !== null && file.size > most) throw new UploadError(`the file is larger than ${most} bytes`, "upload_too_large");
    const { name = "file", size } = file;
    const start = { type: "fileStart", name, size, mimeType: file.type || "application/octet-stream" };
    const transfer = (this.#transfer = new Transfer());
    const abort = () => transfer.fail(signal.reason);
    try {
      // Also when aborted: without an answer to this one the next upload would take it for its own.
      await this.#ask(transfer, start, () => most === null || transfer.ready);
      signal?.throwIfAborted();
      signal?.addEventListener("abort", abort);
      await this.#sendChunks(file, transfer, onProgress);
      await this.#ask(transfer, { type: "fileEnd" }, () => most === null || transfer.saved);
      return transfer.saved ?? { type: "fileSaved", uploadId: null, name, size, sha256: null };
    } catch (error) {
      // Our own reasons to end are news to the server; its reasons are not.
      if (link.isOpen() && !transfer.isRefused) link.say({ type: "fileCancel" });
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#transfer = null;
    }
  }

  /** Wait for our turn among all that the client sends: the server drops what is too much. */
  async #turn(transfer) {
    let left = this.#link.reserve();
    const until = performance.now() + left;
    while (left > 0 && !transfer.error) {
      await transfer.pause(left);
      left = until - performance.now();
    }
    transfer.check();
  }

  /** Say something, and again while it is not answered: a server that drops messages may not say which. */
  async #ask(transfer, message, isAnswered) {
    const { answerMs } = this.#link;
    for (let patience = REPEAT_MS; ; patience *= 2) {
      await this.#turn(transfer);
      if (patience > REPEAT_MS && isAnswered()) return;
      this.#link.say(message);
      const askedAt = performance.now();
      if (patience === REPEAT_MS) transfer.heardAt = askedAt;
      while (!isAnswered() && performance.now() - askedAt < patience) {
        await transfer.pause(Math.min(patience, answerMs));
        transfer.check();
        if (performance.now() - transfer.heardAt >= answerMs) throw new UploadError("the server does not answer");
      }
      if (isAnswered()) return;
    }
  }

  async #sendChunks(file, transfer, onProgress) {
    const link = this.#link;
    let loaded = 0; // never less than before: what waits counts the chunks' headers, too
    const tell = (sent) => {
      loaded = Math.max(loaded, sent - link.buffered());
      onProgress?.({ loaded, total: file.size });
    };
    for (let index = 0, from = 0; from < file.size; index += 1, from += CHUNK_BYTES) {
      const data = await file.slice(from, from + CHUNK_BYTES).arrayBuffer();
      const chunk = new Uint8Array(CHUNK_HEADER_BYTES + data.byteLength);
      new DataView(chunk.buffer).setUint32(0, index);
      chunk.set(new Uint8Array(data), CHUNK_HEADER_BYTES);
      while (!transfer.error && link.buffered() > link.maxBuffered) {
        tell(from);
        await transfer.pause(POLL_MS);
      }
      if (chunk.byteLength < CHUNK_BYTES) await this.#turn(transfer); // the server counts it as a message
      transfer.check();
      link.put(chunk);
      tell(from + data.byteLength);
    }
    while (!transfer.error && link.buffered() > 0) {
      await transfer.pause(POLL_MS);
      tell(file.size);
    }
    transfer.check();
  }
}
