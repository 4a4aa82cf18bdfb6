// Files in chunks, one after the other: `fileStart`, numbered chunks, `fileEnd`.

export const CHUNK_BYTES = 64 * 1024;

const CHUNK_HEADER_BYTES = 4;
const POLL_MS = 10; // no event tells that a socket's buffer has drained

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

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
  isReady = false;
  error = null;

  constructor() {
    this.answered = {};
    for (const step of ["ready", "saved"]) {
      this[step] = new Promise((resolve, reject) => (this.answered[step] = { resolve, reject }));
      this[step].catch(() => {}); // whoever awaits it hears of it
    }
  }

  fail(error) {
    this.error ??= error;
    for (const { reject } of Object.values(this.answered)) reject(this.error);
  }

  check() {
    if (this.error) throw this.error;
  }
}

/**
 * All uploads of a client.
 *
 * `link` is its connection: isOpen(), mostBytes() (null for a server that knows only the guide's messages and says
 * nothing to an upload), buffered(), maxBuffered, say(message), put(chunk).
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
    const upload = this.#last.then(() => this.#send(file, onProgress, signal));
    this.#last = upload.catch(() => {});
    return upload;
  }

  /** Take note of what the server says; it answers in order. */
  hear(message) {
    const transfer = this.#transfer;
    if (transfer === null) return;
    if (message.type === "fileReady") {
      transfer.isReady = true;
      transfer.answered.ready.resolve();
    } else if (message.type === "fileSaved") {
      transfer.answered.saved.resolve(message);
    } else if (message.type === "error" && (message.about === "fileStart" || transfer.isReady)) {
      // Until it is ready, other errors are about chunks of the one before.
      if (String(message.code).startsWith("upload_")) transfer.fail(new UploadError(message.message, message.code));
    }
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
    const transfer = (this.#transfer = new Transfer());
    const abort = () => (transfer.error ??= signal.reason);
    const abortLate = () => transfer.fail(signal.reason);
    signal?.addEventListener("abort", abort);
    try {
      link.say({ type: "fileStart", name, size, mimeType: file.type || "application/octet-stream" });
      if (most !== null) await transfer.ready; // also when aborted: the next upload is not to take this one's answer
      signal?.addEventListener("abort", abortLate);
      await this.#sendChunks(file, transfer, onProgress);
      link.say({ type: "fileEnd" });
      return most !== null ? await transfer.saved : { type: "fileSaved", uploadId: null, name, size, sha256: null };
    } catch (error) {
      // Our own reasons to end are news to the server; its reasons are not.
      if (link.isOpen() && !(error instanceof UploadError)) link.say({ type: "fileCancel" });
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
      signal?.removeEventListener("abort", abortLate);
      this.#transfer = null;
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
        await sleep(POLL_MS);
      }
      transfer.check();
      link.put(chunk);
      tell(from + data.byteLength);
    }
    while (!transfer.error && link.buffered() > 0) {
      await sleep(POLL_MS);
      tell(file.size);
    }
    transfer.check();
  }
}
