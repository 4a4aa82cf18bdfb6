// A minimal browser client, written from the protocol's messages alone: a class with handlers, a queue, exponential
// backoff and an upload function. It uses none of Stampede's additions and nothing of chat-client.js.

import { WebSocket } from "ws";

export class MinimalClient {
  constructor(url) {
    this.url = url;
    this.messageQueue = [];
    this.reconnectAttempts = 0;
    this.maxReconnectAttempts = 5;
    this.handlers = {};
  }

  on(type, handler) {
    this.handlers[type] = handler;
  }

  connect() {
    this.ws = new WebSocket(this.url);
    this.ws.onopen = () => {
      this.reconnectAttempts = 0;
      while (this.messageQueue.length > 0) this.ws.send(this.messageQueue.shift());
      this.pingTimer = setInterval(() => this.send({ type: "ping", timestamp: Date.now() }), 25_000);
    };
    this.ws.onmessage = (event) => {
      const message = JSON.parse(event.data);
      const handler = this.handlers[message.type];
      if (handler) handler(message);
    };
    this.ws.onerror = () => {};
    this.ws.onclose = (event) => {
      clearInterval(this.pingTimer);
      if (event.code === 1000 || this.reconnectAttempts >= this.maxReconnectAttempts) return;
      this.reconnectAttempts += 1;
      setTimeout(() => this.connect(), 100 * 2 ** this.reconnectAttempts);
    };
  }

  disconnect() {
    this.ws.close(1000, "client disconnect");
  }

  send(message) {
    const text = JSON.stringify(message);
    if (this.ws.readyState === WebSocket.OPEN) this.ws.send(text);
    else this.messageQueue.push(text);
  }

  setUsername(username) {
    this.send({ type: "setUsername", username });
  }

  joinRoom(room) {
    this.send({ type: "joinRoom", room });
  }

  leaveRoom() {
    this.send({ type: "leaveRoom" });
  }

  sendMessage(text) {
    this.send({ type: "chatMessage", text });
  }

  sendTyping() {
    this.send({ type: "typing" });
  }
}

/** Send a file over an open socket, and wait for nothing. */
export async function uploadFile(ws, file) {
  const chunkSize = 64 * 1024;
  ws.send(JSON.stringify({ type: "fileStart", name: file.name, size: file.size, mimeType: file.type }));
  let index = 0;
  for (let offset = 0; offset < file.size; offset += chunkSize) {
    const chunk = await file.slice(offset, offset + chunkSize).arrayBuffer();
    const header = new ArrayBuffer(4);
    new DataView(header).setUint32(0, index);
    const framed = new Uint8Array(4 + chunk.byteLength);
    framed.set(new Uint8Array(header), 0);
    framed.set(new Uint8Array(chunk), 4);
    ws.send(framed);
    index += 1;
  }
  ws.send(JSON.stringify({ type: "fileEnd" }));
}
