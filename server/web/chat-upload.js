// Uploads: `fileStart`, numbered chunks, `fileEnd`; one file after the other.

export const CHUNK_BYTES = 64 * 1024;

const CHUNK_HEADER_BYTES = 4;
const POLL_MS = 10; // there is no event for a drained socket buffer
const REPEAT_MS = 3_000; // timeout until a message is repeated; doubles

/** An upload that failed; `code` is that of the server's `error`, or null. */
export class UploadError extends Error {
  constructor(message, code = null) {
    super(message);
    this.name = "UploadError";
    this.code = code;
  }
}

/** The state of the upload in progress. */
class Upload {
  ready = null; // the server's `fileReady`
  saved = null; // its `fileSaved`
  error = null;
  isRefused = false; // by the server
  answeredAt = performance.now();
  wake = () => {}; // ends a pause early

  fail(error) {
    this.error ??= error;
    this.wake();
  }

  /** Wait for a time or until `wake`: in a background tab a timer may take a minute. */
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
 * The uploads of a client, one at a time.
 *
 * `link` is its connection. isOpen() returns whether it is open. maxBytes() returns the limit on a file, or null for a
 * server that does not answer upload messages. buffered() returns the bytes in the socket's buffer. reserve() takes a
 * token of the rate limit and returns the milliseconds to wait. sendMessage(message) and sendChunk(chunk) send.
 * maxBuffered and answerMs are options of the client.
 */
export class Uploads {
  #link;
  #current = null;
  #last = Promise.resolve();

  constructor(link) {
    this.#link = link;
  }

  /** Send a file after the previous ones: the server accepts one at a time. */
  send(file, { onProgress, signal }) {
    let hasBegun = false;
    const result = this.#last.then(() => {
      hasBegun = true;
      return this.#send(file, onProgress, signal);
    });
    this.#last = result.catch(() => {});
    return new Promise((resolve, reject) => {
      result.then(resolve, reject);
      signal?.addEventListener("abort", () => hasBegun || reject(signal.reason), { once: true });
    });
  }

  /** Whether an upload is in progress. */
  get isActive() {
    return this.#current !== null;
  }

  /** Handle a message of the server, which answers in order. */
  receive(message) {
    const upload = this.#current;
    if (upload === null) return;
    const { type, uploadId } = message ?? {};
    if (type === "fileReady") upload.ready = message;
    else if (type === "fileSaved" && uploadId === upload.ready?.uploadId) upload.saved = message;
    else if (type === "error" && String(message.code).startsWith("upload_")) this.#handleError(upload, message);
    else if (type !== "fileProgress") return;
    upload.answeredAt = performance.now();
    upload.wake();
  }

  #handleError(upload, { about, code, message }) {
    // The answer to a repeated message whose first copy was handled.
    if (code === "upload_active" || (code === "upload_missing" && about === "fileEnd")) return;
    // Before `fileReady`, other errors are about chunks of the previous upload.
    if (about !== "fileStart" && !upload.ready) return;
    upload.isRefused = true;
    upload.fail(new UploadError(message, code));
  }

  /** Fail the upload in progress: the connection was lost. */
  lost() {
    this.#current?.fail(new UploadError("the connection was lost"));
  }

  async #send(file, onProgress, signal) {
    signal?.throwIfAborted();
    const link = this.#link;
    const maxBytes = link.maxBytes();
    if (!link.isOpen()) throw new UploadError("there is no connection");
    if (maxBytes !== null && file.size > maxBytes) {
      throw new UploadError(`the file is larger than ${maxBytes} bytes`, "upload_too_large");
    }
    const { name = "file", size } = file;
    const start = { type: "fileStart", name, size, mimeType: file.type || "application/octet-stream" };
    const upload = (this.#current = new Upload());
    const abort = () => upload.fail(signal.reason);
    try {
      // Wait for this answer even when aborted, or the next upload would take it for its own.
      await this.#request(upload, start, () => maxBytes === null || upload.ready);
      signal?.throwIfAborted();
      signal?.addEventListener("abort", abort);
      await this.#sendChunks(file, upload, onProgress);
      await this.#request(upload, { type: "fileEnd" }, () => maxBytes === null || upload.saved);
      return upload.saved ?? { type: "fileSaved", uploadId: null, name, size, sha256: null };
    } catch (error) {
      // Cancel an upload that the server has not dropped itself.
      if (link.isOpen() && !upload.isRefused) link.sendMessage({ type: "fileCancel" });
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#current = null;
    }
  }

  /** Wait until the rate limit allows a message: the server drops messages above its own limit. */
  async #waitForRateLimit(upload) {
    let left = this.#link.reserve();
    const until = performance.now() + left;
    while (left > 0 && !upload.error) {
      await upload.pause(left);
      left = until - performance.now();
    }
    upload.check();
  }

  /** Send a message, and repeat it until it is answered: a server above its rate limit drops messages. */
  async #request(upload, message, isAnswered) {
    const { answerMs } = this.#link;
    for (let timeout = REPEAT_MS; ; timeout *= 2) {
      await this.#waitForRateLimit(upload);
      if (timeout > REPEAT_MS && isAnswered()) return;
      this.#link.sendMessage(message);
      const sentAt = performance.now();
      if (timeout === REPEAT_MS) upload.answeredAt = sentAt;
      while (!isAnswered() && performance.now() - sentAt < timeout) {
        await upload.pause(Math.min(timeout, answerMs));
        upload.check();
        if (performance.now() - upload.answeredAt >= answerMs) throw new UploadError("the server does not answer");
      }
      if (isAnswered()) return;
    }
  }

  async #sendChunks(file, upload, onProgress) {
    const link = this.#link;
    let loaded = 0; // never decreases, although the buffered bytes include chunk headers
    const report = (sent) => {
      loaded = Math.max(loaded, sent - link.buffered());
      onProgress?.({ loaded, total: file.size });
    };
    for (let index = 0, from = 0; from < file.size; index += 1, from += CHUNK_BYTES) {
      const data = await file.slice(from, from + CHUNK_BYTES).arrayBuffer();
      const chunk = new Uint8Array(CHUNK_HEADER_BYTES + data.byteLength);
      new DataView(chunk.buffer).setUint32(0, index);
      chunk.set(new Uint8Array(data), CHUNK_HEADER_BYTES);
      while (!upload.error && link.buffered() > link.maxBuffered) {
        report(from);
        await upload.pause(POLL_MS);
      }
      // The server's rate limit counts a smaller chunk as a message.
      if (chunk.byteLength < CHUNK_BYTES) await this.#waitForRateLimit(upload);
      upload.check();
      link.sendChunk(chunk);
      report(from + data.byteLength);
    }
    while (!upload.error && link.buffered() > 0) {
      await upload.pause(POLL_MS);
      report(file.size);
    }
    upload.check();
  }
}
