// FileSharing files: chosen, dropped or pasted; each with its progress, and a way to stop it.

import { element } from "./messages.js";

/** Return a size in bytes for people. */
export function formatSize(size) {
  const [unit, name] = size < 1000 ? [1, "bytes"] : size < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  return `${(size / unit).toFixed(unit === 1 || size >= 100 * unit ? 0 : 1)} ${name}`;
}

/**
 * Return the files that a paste is meant to share.
 *
 * Spreadsheets and word processors add a picture of the text that was copied: then the text is meant. File managers add
 * the files' names as text: then the files are.
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
  #done;

  /** `done` is called with what the server says of a file that it has stored. */
  constructor(client, list, done) {
    this.#client = client;
    this.#list = list;
    this.#done = done;
  }

  /** Offer the ways in: a button with its file input, and the whole page to drop on and paste into. */
  listen(button, input, curtain) {
    let depth = 0; // of elements that the drag is over
    const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const show = (change) => {
      depth = Math.max(0, depth + change);
      curtain.hidden = depth === 0;
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
      if (!files.length) return; // text goes where it is pasted
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
    const stop = element("button", "", "Cancel");
    const bar = element("progress");
    const abort = new AbortController();
    bar.setAttribute("aria-label", `Upload of ${file.name}`);
    bar.max = Math.max(1, file.size);
    bar.value = 0;
    stop.type = "button";
    stop.addEventListener("click", () => abort.abort());
    row.append(name, state, stop, bar);
    this.#list.append(row);
    const onProgress = ({ loaded, total }) => {
      bar.value = loaded;
      state.textContent = `${formatSize(loaded)} of ${formatSize(total)}`;
    };
    try {
      this.#done(await this.#client.sendFile(file, { onProgress, signal: abort.signal }));
      row.remove();
    } catch (error) {
      if (abort.signal.aborted) row.remove();
      else this.#offerAgain(row, file, state, stop, bar, error);
    }
  }

  #offerAgain(row, file, state, stop, bar, error) {
    bar.remove();
    state.setAttribute("role", "alert");
    state.textContent = error.message;
    const again = element("button", "", "Try again");
    again.type = "button";
    again.addEventListener("click", () => {
      row.remove();
      this.#share(file);
    });
    const dismiss = stop.cloneNode();
    dismiss.textContent = "Dismiss";
    dismiss.addEventListener("click", () => row.remove());
    stop.replaceWith(again, dismiss);
  }
}
