// The chat page: connects a ChatClient to the elements of the page.

import { ChatClient, MAX_TEXT_BYTES, tokenRefusal } from "./chat-client.js";
import { isSameRoom, relativeWebSocketUrl } from "./chat-util.js";
import { People, Rooms, Typing } from "./sidebar.js";
import { feed } from "./live.js";
import { MessageList, displayName } from "./messages.js";
import { FileSharing, formatSize } from "./file-sharing.js";

const $ = (id) => document.getElementById(id);
const ADJECTIVES = "Amber Bold Calm Dusty Early Fleet Golden Hazel Keen Merry Quick Sunny".split(" ");
const ANIMALS = "Bison Zebra Oryx Gazelle Yak Eland Mustang Caribou Kudu Impala Gnu Llama".split(" ");
const pick = (words) => words[Math.floor(Math.random() * words.length)];
const roomInUrl = () => {
  try {
    return decodeURIComponent(location.hash.slice(1)) || "lobby";
  } catch {
    return "lobby"; // not a valid room name
  }
};

/** Use storage or history if the browser allows it: they may be blocked, full, or limited in rate. */
function ifAllowed(action) {
  try {
    return action();
  } catch {
    return null;
  }
}

const client = new ChatClient(relativeWebSocketUrl("ws/chat"));
const messages = new MessageList($("messages"), $("newer"));
const rooms = new Rooms($("rooms"), enter);
const people = new People($("people"));
const typing = new Typing($("typing"));
const pending = new Map(); // id -> {item, text} of own messages whose delivery is not confirmed
let unread = 0;
let hasJoined = false; // whether `roomJoined` was received for the current room

// --- the connection ---

const STATES = { connecting: "connecting", open: "connected", waiting: "connection lost", closed: "disconnected" };

client.onState = ({ state }) => {
  $("connection").dataset.state = state;
  $("state").textContent = STATES[state];
  $("latency").textContent = "";
  $("retry").hidden = state !== "waiting" && state !== "closed";
};
client.onLatency = ({ ms }) => ($("latency").textContent = `· ${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);
client.onDisconnected = ({ code, reason, retryMs }) => {
  typing.clear();
  hasJoined = false;
  if (retryMs === null) $("state").textContent = tokenRefusal(code, reason)?.message ?? `closed: ${reason || code}`;
  else $("state").textContent = `${code === 1012 ? "server restarting" : "connection lost"}, reconnecting`;
};
$("retry").addEventListener("click", () => client.connect());

// --- rooms and people ---

function enter(room) {
  const isNew = room !== client.room;
  try {
    client.joinRoom(room);
  } catch (error) {
    showError(error);
    return;
  }
  if (isNew) {
    hasJoined = false;
    messages.clear();
    typing.clear();
    pending.clear();
    if (roomInUrl() !== room) ifAllowed(() => history.pushState(null, "", `#${encodeURIComponent(room)}`));
  }
  showDrawer(false);
  $("text").focus();
}

function showCount(room, total) {
  if (!isSameRoom(room, client.room)) return false; // a notice of the previous room
  people.setTotal(total);
  rooms.setRoom(client.room, total);
  $("count").textContent = $("here").textContent = total === 1 ? "only you" : `${total} here`;
  return true;
}

client.onRoomJoined = ({ room, userCount }) => {
  hasJoined = room === client.room;
  people.reset(client.username, userCount);
  $("where").textContent = room;
  showTitle();
  showCount(room, userCount);
};
client.onUserJoined = ({ user, room, userCount }) => {
  if (!hasJoined || !showCount(room, userCount)) return; // the notice of our own join precedes `roomJoined`
  people.memberJoined(user);
  messages.addPresence(user, "joined");
};
client.onUserLeft = ({ user, userCount }) => {
  if (!hasJoined) return;
  showCount(client.room, userCount);
  people.memberLeft(user);
  typing.stop(user);
  messages.addPresence(user, "left");
};
client.onRoomPresence = ({ room, userCount, joined, left }) => {
  if (showCount(room, userCount)) messages.addNotice(`${joined} joined, ${left} left`);
};
feed.addEventListener("load", ({ detail }) => rooms.setLoad(detail));

// --- messages ---

client.onMessage = ({ user, text, timestamp }) => {
  typing.stop(user);
  people.memberSeen(user);
  messages.addMessage({ user, text, at: timestamp });
  if (document.hidden) showTitle(unread + 1);
};
client.onChat = ({ user, text }) => messages.addMessage({ user, text, at: Date.now() });
client.onTyping = ({ user }) => {
  people.memberSeen(user);
  typing.start(user);
};
client.onFileShared = ({ user, name, size }) => {
  messages.addNotice(`${displayName(user)} shared ${name} (${formatSize(size)})`);
};
client.onError = ({ code, message }) => {
  if (!String(code).startsWith("upload_")) messages.addNotice(message); // the upload shows it
};
client.onDelivery = ({ id, status }) => {
  const sent = pending.get(id);
  if (!sent) return;
  if (status !== "sent") pending.delete(id);
  messages.setStatus(sent.item, status, () => {
    sent.item.remove();
    send(sent.text);
  });
};

function send(text) {
  const id = client.sendMessage(text);
  if (!id) throw new Error("Too many messages are waiting for the connection");
  const item = messages.addMessage({ user: client.username, text, at: Date.now(), mine: true });
  // The `sent` event of a text that is written at once comes before there is an item.
  messages.setStatus(item, client.queued ? "waiting" : "sent");
  pending.set(id, { item, text });
}

function showError(error) {
  $("error").textContent = error ? `${error.message[0].toUpperCase()}${error.message.slice(1)}.` : "";
}

function submit() {
  const field = $("text");
  if (!field.value.trim()) return;
  try {
    send(field.value);
  } catch (error) {
    showError(error instanceof RangeError ? new Error(`a message has at most ${formatSize(MAX_TEXT_BYTES)}`) : error);
    return;
  }
  showError(null);
  field.value = "";
  resizeToText(field);
}

/** Set the height of the field to that of its text. */
function resizeToText(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

$("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("text").addEventListener("keydown", (event) => {
  // keyCode 229: the key went to an input method. Safari resets `isComposing` before the Enter that ends a composition.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  submit();
});
$("text").addEventListener("input", ({ target }) => {
  resizeToText(target);
  if (target.value) client.sendTyping();
});
new FileSharing(client, $("uploads"), ({ name, size, sha256 }) => {
  messages.addNotice(`${name} is stored (${formatSize(size)}, sha256 ${String(sha256).slice(0, 12)}…)`);
}).listen($("attach"), $("file"), $("drop"));

// --- the rest of the page ---

function showTitle(count = unread) {
  unread = count;
  document.title = `${count ? `(${count}) ` : ""}${client.room} - Stampede`;
}

function showDrawer(isOpen) {
  document.body.classList.toggle("drawn", isOpen);
  $("drawer").setAttribute("aria-expanded", String(isOpen));
}

function setName(name) {
  try {
    client.setUsername(name);
  } catch (error) {
    showError(error);
    $("name").value = client.username;
    return;
  }
  showError(null);
  people.rename(name);
  ifAllowed(() => sessionStorage.setItem("name", name));
}

$("drawer").addEventListener("click", () => showDrawer(!document.body.classList.contains("drawn")));
$("opening").addEventListener("submit", (event) => {
  event.preventDefault();
  enter($("room").value);
  $("room").value = "";
});
$("naming").addEventListener("submit", (event) => {
  event.preventDefault();
  setName($("name").value);
  $("text").focus();
});
$("name").addEventListener("change", ({ target }) => setName(target.value));
addEventListener("popstate", () => enter(roomInUrl()));
document.addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && showDrawer(false));
document.addEventListener("visibilitychange", () => document.hidden || showTitle(0));

$("name").value = ifAllowed(() => sessionStorage.getItem("name")) ?? `${pick(ADJECTIVES)} ${pick(ANIMALS)}`;
setName($("name").value);
enter(roomInUrl());
client.connect();
