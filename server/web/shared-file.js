// A shared file in the list of messages: its name, a link, and a preview of pictures and texts in place.

import { element } from "./messages.js";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"]);
const TEXTS = new Set(["text/plain", "text/csv", "text/markdown", "application/json"]);
const AUTOMATIC_BYTES = 1e6; // a larger picture is loaded on request
const TEXT_BYTES = 32 * 1024; // shown of a text
const MAX_ANSWER = 200; // characters shown of an error response

/** Return a size in bytes as text. */
export function formatSize(size) {
  const [unit, name] = size < 1000 ? [1, "bytes"] : size < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  return `${(size / unit).toFixed(unit === 1 || size >= 100 * unit ? 0 : 1)} ${name}`;
}

/** Return the element of a file from the server's `fileShared` message. */
export function sharedFile({ name, size, mimeType, uploadId }) {
  const file = element("div", "file");
  const bdi = element("bdi", "", name || "file");
  if (!uploadId) {
    file.append(bdi, element("span", "soft", formatSize(size))); // a server that serves no files
    return file;
  }
  const address = `files/${encodeURIComponent(uploadId)}${location.search}`; // the query may hold a token
  const link = element("a");
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.append(bdi);
  file.append(link, element("span", "soft", formatSize(size)));
  const type = mimeType.split(";")[0].trim().toLowerCase();
  if (PICTURES.has(type)) {
    file.append(...preview((place) => showPicture(place, address, name), size <= AUTOMATIC_BYTES));
  } else if (TEXTS.has(type)) file.append(...preview((place) => showText(place, address), false));
  return file;
}

/** Return a button and the place that `load` fills when the button is used, or at once. */
function preview(load, isAutomatic) {
  const button = element("button", "", "Show");
  const place = element("div", "preview");
  button.type = "button";
  const show = async () => {
    button.textContent = "Hide";
    button.setAttribute("aria-expanded", "true");
    place.hidden = false;
    try {
      await load(place);
    } catch ({ message }) {
      place.replaceChildren(element("p", "soft", message));
      button.textContent = "Try again";
      button.setAttribute("aria-expanded", "false");
    }
  };
  button.addEventListener("click", () => {
    if (button.textContent !== "Hide") return void show();
    place.hidden = true;
    place.replaceChildren();
    button.textContent = "Show";
    button.setAttribute("aria-expanded", "false");
  });
  button.setAttribute("aria-expanded", "false");
  place.hidden = true;
  if (isAutomatic) show();
  return [button, place];
}

/** Show a picture; the browser loads it once it is near the visible part of the list. */
function showPicture(place, address, name) {
  const picture = element("img");
  picture.alt = name;
  picture.loading = "lazy";
  return new Promise((resolve, reject) => {
    picture.onload = resolve;
    picture.onerror = () => request(address).then(({ body }) => {
      body.cancel();
      reject(new Error("This is not a picture."));
    }, reject);
    picture.src = address;
    place.replaceChildren(picture);
  });
}

/** Show the beginning of a text. */
async function showText(place, address) {
  const reader = (await request(address)).body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  while (bytes < TEXT_BYTES) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value.subarray(0, TEXT_BYTES - bytes), { stream: true });
    bytes += value.length;
  }
  const isWhole = bytes < TEXT_BYTES || (await reader.read()).done;
  reader.cancel();
  const words = element("pre", "", isWhole ? text : `${text}…`);
  words.tabIndex = 0; // makes it scrollable by keyboard
  words.dir = "auto";
  place.replaceChildren(words);
}

/** Request a file; an error is that of the server, such as that the file has expired. */
async function request(address) {
  let answer;
  try {
    answer = await fetch(address);
  } catch {
    throw new Error("The server cannot be reached.");
  }
  if (!answer.ok) throw new Error((await answer.text()).trim().slice(0, MAX_ANSWER) || `Error ${answer.status}.`);
  return answer;
}
