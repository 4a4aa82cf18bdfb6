// A typical k6 script that measures deliveries of a chat: one virtual user per client, fixed intervals, stamped texts.
// Environment: HOST, CLIENTS, ROOMS, RATE (messages per second of one client), SECONDS.
import { WebSocket } from "k6/experimental/websockets";
import { Counter, Trend } from "k6/metrics";

const clients = Number(__ENV.CLIENTS);
const seconds = Number(__ENV.SECONDS);

export const options = {
  scenarios: { chat: { executor: "per-vu-iterations", vus: clients, iterations: 1, maxDuration: `${seconds + 60}s` } },
  summaryTrendStats: ["med", "p(99)"],
};

const deliveries = new Counter("deliveries");
const latency = new Trend("delivery_ms", true);

export default function () {
  const socket = new WebSocket(__ENV.HOST);
  const say = (message) => socket.send(JSON.stringify(message));
  socket.addEventListener("open", () => {
    say({ type: "setUsername", username: `k6-${__VU}` });
    say({ type: "joinRoom", room: `room-${__VU % Number(__ENV.ROOMS)}` });
    const timer = setInterval(() => {
      say({ type: "chatMessage", text: String(Date.now()).padEnd(64, ".") });
    }, 1000 / Number(__ENV.RATE));
    setTimeout(() => {
      clearInterval(timer);
      socket.close();
    }, seconds * 1000);
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "chatMessage") {
      deliveries.add(1);
      latency.add(Date.now() - Number(message.text.slice(0, 13)));
    }
  });
}
