// The chat page: wires one ChatClient to what people see and do.

import { ChatClient, MAX_TEXT_BYTES, tokenRefusal } from "./chat-client.js";
import { besidePage, isSameRoom } from "./chat-util.js";
import { People, Rooms, Typing } from "./sidebar.js";
import { feed } from "./live.js";
import { MessageList, called } from "./messages.js";
import { FileSharing, formatSize } from "./file-sharing.js";

const $ = (id) => document.getElementById(id);
const HERD = ["Bison", "Zebra", "Oryx", "Gazelle", "Yak", "Eland", "Mustang", "Caribou", "Kudu", "Impala", "Gnu", "Llama"];
const MOODS = ["Amber", "Bold", "Calm", "Dusty", "Early", "Fleet", "Golden", "Hazel", "Keen", "Merry", "Quick", "Sunny"];
const any = (words) => words[Math.floor(Math.random() * words.length)];
const roomOfAddress = () => {
  try {
    return decodeURIComponent(location.hash.slice(1)) || "lobby";
  } catch {
    return "lobby"; // not an address of ours
  }
};

/** Use storage or the history where the browser allows it: they may be blocked, full, or used too often. */
function ifAllowed(act) {
  try {
    return act();
  } catch {
    return null;
  }
}

const client = new ChatClient(besidePage("ws/chat"));
const messages = new MessageList($("messages"), $("newer"));
const rooms = new Rooms($("rooms"), enter);
const people = new People($("people"));
const typing = new Typing($("typing"));
const mine = new Map(); // id -> {item, text} of messages whose fate is open
let unseen = 0;
let isIn = false; // the room

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
  isIn = false;
  if (retryMs === null) $("state").textContent = tokenRefusal(code, reason)?.message ?? `closed: ${reason || code}`;
  else $("state").textContent = `${code === 1012 ? "the server restarts" : "connection lost"}, coming back`;
};
$("retry").addEventListener("click", () => client.connect());

// --- rooms and people ---

function enter(room) {
  const isNew = room !== client.room;
  try {
    client.joinRoom(room);
  } catch (error) {
    complain(error);
    return;
  }
  if (isNew) {
    isIn = false;
    messages.clear();
    typing.clear();
    mine.clear();
    if (roomOfAddress() !== room) ifAllowed(() => history.pushState(null, "", `#${encodeURIComponent(room)}`));
  }
  showDrawer(false);
  $("text").focus();
}

function counted(room, total) {
  if (!isSameRoom(room, client.room)) return false; // others may spell it in another way
  people.setTotal(total);
  rooms.setRoom(client.room, total);
  $("count").textContent = $("here").textContent = total === 1 ? "only you" : `${total} here`;
  return true;
}

client.onRoomJoined = ({ room, userCount }) => {
  isIn = room === client.room;
  people.reset(client.username, userCount);
  $("where").textContent = room;
  showTitle();
  counted(room, userCount);
};
client.onUserJoined = ({ user, room, userCount }) => {
  if (!isIn || !counted(room, userCount)) return; // our own comes before our `roomJoined`
  people.came(user);
  messages.presence(user, "came in");
};
client.onUserLeft = ({ user, userCount }) => {
  if (!isIn) return;
  counted(client.room, userCount);
  people.left(user);
  typing.stop(user);
  messages.presence(user, "left");
};
client.onRoomPresence = ({ room, userCount, joined, left }) => {
  if (counted(room, userCount)) messages.notice(`${joined} came in, ${left} left`);
};
feed.addEventListener("load", ({ detail }) => rooms.setLoad(detail));

// --- what is said ---

client.onMessage = ({ user, text, timestamp }) => {
  typing.stop(user);
  people.heard(user);
  messages.say({ user, text, at: timestamp });
  if (document.hidden) showTitle(unseen + 1);
};
client.onChat = ({ user, text }) => messages.say({ user, text, at: Date.now() });
client.onTyping = ({ user }) => {
  people.heard(user);
  typing.start(user);
};
client.onFileShared = ({ user, name, size }) => messages.notice(`${called(user)} shared ${name} (${formatSize(size)})`);
client.onError = ({ code, message }) => {
  if (!String(code).startsWith("upload_")) messages.notice(message); // an upload tells its own
};
client.onDelivery = ({ id, status }) => {
  const sent = mine.get(id);
  if (!sent) return;
  if (status !== "sent") mine.delete(id);
  messages.setFate(sent.item, status, () => {
    sent.item.remove();
    say(sent.text);
  });
};

function say(text) {
  const id = client.sendMessage(text);
  if (!id) throw new Error("Too much is waiting for the connection already");
  const item = messages.say({ user: client.username, text, at: Date.now(), mine: true });
  // What could be written at once has told so already, before there was an item.
  messages.setFate(item, client.queued ? "waiting" : "sent");
  mine.set(id, { item, text });
}

function complain(error) {
  $("complaint").textContent = error ? `${error.message[0].toUpperCase()}${error.message.slice(1)}.` : "";
}

function submit() {
  const field = $("text");
  if (!field.value.trim()) return;
  try {
    say(field.value);
  } catch (error) {
    complain(error instanceof RangeError ? new Error(`a message has at most ${formatSize(MAX_TEXT_BYTES)}`) : error);
    return;
  }
  complain(null);
  field.value = "";
  fit(field);
}

/** Let the field grow with its text. */
function fit(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("text").addEventListener("keydown", (event) => {
  // 229: the key went to an input method; Safari says no more `isComposing` when Enter ends a composition.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  submit();
});
$("text").addEventListener("input", ({ target }) => {
  fit(target);
  if (target.value) client.sendTyping();
});
new FileSharing(client, $("uploads"), ({ name, size, sha256 }) => {
  messages.notice(`${name} is stored (${formatSize(size)}, sha256 ${String(sha256).slice(0, 12)}…)`);
}).listen($("attach"), $("file"), $("drop"));

// --- the rest of the page ---

function showTitle(count = unseen) {
  unseen = count;
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
    complain(error);
    $("name").value = client.username;
    return;
  }
  complain(null);
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
addEventListener("popstate", () => enter(roomOfAddress()));
document.addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && showDrawer(false));
document.addEventListener("visibilitychange", () => document.hidden || showTitle(0));

$("name").value = ifAllowed(() => sessionStorage.getItem("name")) ?? `${any(MOODS)} ${any(HERD)}`;
setName($("name").value);
enter(roomOfAddress());
client.connect();
