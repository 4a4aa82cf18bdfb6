// The chat page: one connection to the server that served it. Names and texts only ever become text nodes.

const SHOWN = 500; // messages kept on the page
const TYPING_MS = 3000; // how often typing is told, and how long the hint stays
const RETRY_MS = [500, 20000]; // first and longest pause before a reconnect; the real one is drawn below it

const $ = (id) => document.getElementById(id);
const typing = new Map();
let socket;
let failures = 0;
let typedAt = 0;

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/chat`);
  socket.onopen = () => {
    failures = 0;
    $("state").textContent = "connected";
    if ($("where").dataset.room) enter();
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    handlers[message.type]?.(message);
  };
  socket.onclose = () => {
    setJoined(false);
    const pause = Math.random() * Math.min(RETRY_MS[1], RETRY_MS[0] * 2 ** failures++);
    $("state").textContent = "connection lost, trying again";
    setTimeout(connect, pause);
  };
}

const send = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
const called = (user) => user ?? "someone";

const handlers = {
  roomJoined({ room, userCount }) {
    $("where").textContent = room;
    $("where").dataset.room = room;
    count(userCount);
    setJoined(true);
    $("text").focus();
  },
  userJoined({ user, userCount }) {
    count(userCount);
    notice(`${called(user)} came in`);
  },
  userLeft({ user, userCount }) {
    count(userCount);
    stopTyping(user);
    notice(`${called(user)} left`);
  },
  chatMessage({ user, text, timestamp }) {
    stopTyping(user);
    say(user, text, timestamp);
  },
  chat: ({ user, text }) => say(user, text, Date.now()),
  userTyping({ user }) {
    clearTimeout(typing.get(user));
    typing.set(user, setTimeout(() => stopTyping(user), TYPING_MS + 1000));
    showTyping();
  },
  fileShared: ({ user, name, size }) => notice(`${called(user)} shared ${name} (${size} bytes)`),
  error: ({ message }) => notice(message),
};

function count(n) {
  $("count").textContent = `${n} here`;
}

function setJoined(joined) {
  for (const control of $("say").querySelectorAll("input, button")) control.disabled = !joined;
}

function add(item) {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  while (list.childElementCount > SHOWN) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function notice(text) {
  const item = document.createElement("li");
  item.className = "notice";
  item.textContent = text;
  add(item);
}

function say(user, text, at) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  const name = document.createElement("b");
  const words = document.createElement("bdi");
  time.textContent = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  name.textContent = called(user);
  words.textContent = text;
  item.append(time, name, words);
  add(item);
}

function stopTyping(user) {
  clearTimeout(typing.get(user));
  typing.delete(user);
  showTyping();
}

function showTyping() {
  const names = [...typing.keys()].map(called);
  const who = names.length > 3 ? `${names.length} people` : names.join(", ");
  $("typing").textContent = names.length ? `${who} typing…` : "";
}

function enter() {
  send({ type: "setUsername", username: $("name").value });
  send({ type: "joinRoom", room: $("room").value });
}

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  enter();
});
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!text) return;
  if (send({ type: "chatMessage", text }) !== false) {
    say($("name").value, text, Date.now());
    $("text").value = "";
  }
});
$("text").addEventListener("input", () => {
  if (Date.now() - typedAt < TYPING_MS) return;
  typedAt = Date.now();
  send({ type: "typing" });
});

connect();
