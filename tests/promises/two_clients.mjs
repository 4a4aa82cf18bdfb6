// Two clients of Node's `ws` in one room: measures the time of a message from one to the other, on one clock.
// node clients.mjs FOLDER_WITH_WS URL MESSAGES: prints the median in milliseconds.
import { createRequire } from "node:module";

const [, , folder, url, messages] = process.argv;
const WebSocket = createRequire(`${folder}/`)("ws");
const taken = [];
const wanted = Number(messages);

const join = (name) =>
  new Promise((resolve) => {
    const socket = new WebSocket(url);
    const say = (message) => socket.send(JSON.stringify(message));
    socket.on("open", () => {
      say({ type: "setUsername", username: name });
      say({ type: "joinRoom", room: "agreement" });
    });
    socket.on("message", (data) => {
      const message = JSON.parse(data);
      if (message.type === "roomJoined") resolve({ socket, say });
      if (message.type === "chatMessage") taken.push(Number(process.hrtime.bigint() - BigInt(message.text)) / 1e6);
      if (taken.length === wanted) {
        taken.sort((a, b) => a - b);
        console.log(taken[wanted >> 1]);
        process.exit(0);
      }
    });
  });

await join("listener");
const { say } = await join("speaker");
let said = 0;
setInterval(() => {
  if (said++ < wanted) say({ type: "chatMessage", text: String(process.hrtime.bigint()) });
}, 20);
