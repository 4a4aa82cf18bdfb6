// The chat page: connects a ChatClient to the elements of the page.

import { ChatClient, MAX_TEXT_BYTES, tokenRefusal } from "./chat-client.js";
import { DEFAULTS, byteLength, checkName, isSameRoom, relativeWebSocketUrl } from "./chat-util.js";
import { People, Rooms, Typing } from "./sidebar.js";
import { feed } from "./live.js";
import { FieldError } from "./field-error.js";
import { FileSharing } from "./file-sharing.js";
import { RoomLists } from "./room-lists.js";
import { formatSize, sharedFile } from "./shared-file.js";

const $ = (id) => document.getElementById(id);
const ADJECTIVES = "Amber Bold Calm Dusty Early Fleet Golden Hazel Keen Merry Quick Sunny".split(" ");
const ANIMALS = "Bison Zebra Oryx Gazelle Yak Eland Mustang Caribou Kudu Impala Gnu Llama".split(" ");
const pick = (words) => words[Math.floor(Math.random() * words.length)];
const checkUsername = (name) => checkName(name, 64, "a username");
const checkRoom = (room) => checkName(room, 128, "a room name");
const roomInUrl = () => {
  try {
    const room = decodeURIComponent(location.hash.slice(1)) || "lobby";
    checkRoom(room);
    return room;
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
const rooms = new Rooms($("rooms"), enter);
const lists = new RoomLists($("log"), $("newer"), (listed) => rooms.setKept(listed));
const people = new People($("people"));
const typing = new Typing($("typing"));
const errors = {
  name: new FieldError($("name"), $("name-error")),
  room: new FieldError($("room"), $("room-error")),
  text: new FieldError($("text"), $("error")),
};
const pending = new Map(); // id -> {list, item, text} of own messages whose delivery is not confirmed
const ownFiles = new Set(); // ids of this page's uploads that the room does not know yet
let messages = null; // the list of the room that the server has put the client in
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
  if (hasJoined) lists.left("You were not connected");
  hasJoined = false;
  if (retryMs === null) $("state").textContent = tokenRefusal(code, reason)?.message ?? `closed: ${reason || code}`;
  else $("state").textContent = `${code === 1012 ? "server restarting" : "connection lost"}, reconnecting`;
};
$("retry").addEventListener("click", () => client.connect());

// --- rooms and people ---

function enter(room) {
  const isNew = room !== client.room;
  client.joinRoom(room);
  if (isNew) {
    hasJoined = false;
    lists.enter(room);
    messages ??= lists.current;
    typing.clear();
    if (roomInUrl() !== room) ifAllowed(() => history.pushState(null, "", `#${encodeURIComponent(room)}`));
  }
  showDrawer(false);
  $("text").focus();
}

function showCount(room, total) {
  if (!isSameRoom(room, client.room)) return false; // a notice of the previous room
  messages = lists.current;
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
  if (showCount(room, userCount)) lists.entered();
};
client.onUserJoined = ({ user, room, userCount }) => {
  if (!showCount(room, userCount) || !hasJoined) return; // the notice of our own join precedes `roomJoined`
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
client.onFileSaved = ({ uploadId }) => ownFiles.add(uploadId);
client.onFileShared = (file) => {
  const mine = ownFiles.delete(file.uploadId);
  if (!mine) people.memberSeen(file.user);
  messages.addContent({ user: file.user, at: Date.now(), mine, content: sharedFile(file) });
  if (document.hidden && !mine) showTitle(unread + 1);
};
client.onError = ({ code, message }) => {
  if (!String(code).startsWith("upload_")) messages.addNotice(message); // the upload shows it
};
client.onDelivery = ({ id, status }) => {
  const sent = pending.get(id);
  if (!sent) return;
  if (status !== "sent") pending.delete(id);
  errors.text.update(); // the queue may have room again
  sent.list.setStatus(sent.item, status, () => {
    sent.item.remove();
    send(sent.text);
  });
};

function send(text) {
  const id = client.sendMessage(text);
  if (!id) return;
  const list = lists.current;
  const item = list.addMessage({ user: client.username, text, at: Date.now(), mine: true });
  // The `sent` event of a text that is written at once comes before there is an item.
  list.setStatus(item, client.queued ? "waiting" : "sent");
  pending.set(id, { list, item, text });
}

function checkText(text) {
  if (byteLength(text) > MAX_TEXT_BYTES) throw new Error(`a message has at most ${formatSize(MAX_TEXT_BYTES)}`);
  if (text && client.queued >= DEFAULTS.maxQueued) throw new Error("too many messages are waiting for the connection");
}

function submit() {
  const field = $("text");
  if (!field.value.trim() || !errors.text.require(() => checkText(field.value))) return;
  send(field.value);
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
new FileSharing(client, $("uploads"), $("uploading")).listen($("attach"), $("file"), $("drop"));

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
  if (!errors.name.require(() => checkUsername($("name").value))) return;
  client.setUsername(name);
  people.rename(name);
  ifAllowed(() => sessionStorage.setItem("name", name));
}

$("drawer").addEventListener("click", () => showDrawer(!document.body.classList.contains("drawn")));
$("opening").addEventListener("submit", (event) => {
  event.preventDefault();
  const room = $("room").value;
  if (!errors.room.require(() => checkRoom($("room").value))) return;
  enter(room);
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
