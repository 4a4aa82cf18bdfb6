// File sharing: choose, drop or paste files; each upload shows its progress and a button to cancel it.

import { element } from "./messages.js";
import { formatSize } from "./shared-file.js";

const MANY = 2; // uploads above which a button cancels all

/**
 * Return the files of a paste, or none if the paste is meant as text.
 *
 * Spreadsheets and word processors add a picture of the copied text: then the text is meant. File managers add the
 * names of the files as text: then the files are meant.
 */
function filesPasted(clipboard) {
  const files = [...(clipboard?.files ?? [])];
  const text = clipboard?.getData("text/plain").trim() ?? "";
  const lines = text.split(/[\r\n]+/).map((line) => line.split(/[\\/]/).at(-1));
  const areNames = lines.length === files.length && files.every(({ name }) => lines.includes(name));
  return text === "" || areNames ? files : [];
}

export class FileSharing {
  #client;
  #list;
  #summary;
  #uploads = new Set(); // AbortControllers of the uploads in progress

  /** `list` shows the uploads until they end; `summary` counts them, and has a button to cancel all. */
  constructor(client, list, summary) {
    this.#client = client;
    this.#list = list;
    this.#summary = summary;
    summary.querySelector("button").addEventListener("click", () => {
      for (const abort of this.#uploads) abort.abort();
    });
  }

  /** Share files chosen with a button and its file input, dropped on the page, or pasted. */
  listen(button, input, overlay) {
    let depth = 0; // number of nested elements that the drag is over
    const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const show = (change) => {
      depth = Math.max(0, depth + change);
      overlay.hidden = depth === 0;
    };
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.#shareAll(input.files);
      input.value = "";
    });
    document.addEventListener("dragenter", (event) => hasFiles(event) && show(1));
    document.addEventListener("dragleave", (event) => hasFiles(event) && show(-1));
    document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    document.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      show(-depth);
      this.#shareAll(event.dataTransfer.files);
    });
    document.addEventListener("paste", (event) => {
      const files = filesPasted(event.clipboardData);
      if (!files.length) return; // let the browser paste the text
      event.preventDefault();
      this.#shareAll(files);
    });
  }

  #shareAll(files) {
    for (const file of files) this.#share(file);
  }

  async #share(file) {
    const row = element("li");
    const name = element("bdi", "", file.name);
    const state = element("span", "soft", formatSize(file.size));
    const cancel = element("button", "", "Cancel");
    const bar = element("progress");
    const abort = new AbortController();
    bar.setAttribute("aria-label", `Upload of ${file.name}`);
    bar.max = Math.max(1, file.size);
    bar.value = 0;
    cancel.type = "button";
    cancel.addEventListener("click", () => abort.abort());
    row.append(name, state, cancel, bar);
    this.#list.append(row);
    this.#uploads.add(abort);
    this.#showSummary();
    const onProgress = ({ loaded, total }) => {
      bar.value = loaded;
      state.textContent = `${formatSize(loaded)} of ${formatSize(total)}`;
    };
    try {
      await this.#client.sendFile(file, { onProgress, signal: abort.signal });
      row.remove(); // the server's `fileShared` shows the file
    } catch (error) {
      if (abort.signal.aborted) row.remove();
      else this.#showFailure(row, file, state, cancel, bar, error);
    } finally {
      this.#uploads.delete(abort);
      this.#showSummary();
    }
  }

  #showSummary() {
    const count = this.#uploads.size;
    this.#summary.hidden = count <= MANY;
    this.#summary.querySelector("span").textContent = `${count} files are waiting or being sent`;
  }

  #showFailure(row, file, state, cancel, bar, error) {
    bar.remove();
    state.setAttribute("role", "alert");
    state.textContent = error.message;
    const retry = element("button", "", "Try again");
    retry.type = "button";
    retry.addEventListener("click", () => {
      row.remove();
      this.#share(file);
    });
    const dismiss = cancel.cloneNode();
    dismiss.textContent = "Dismiss";
    dismiss.addEventListener("click", () => row.remove());
    cancel.replaceWith(retry, dismiss);
  }
}
