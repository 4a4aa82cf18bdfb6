// Types of the chat client: valid programs compile, and invalid ones do not.

import { ChatClient, DEAD, NO_ADDRESS, UploadError, tokenRefusal, type ChatClientOptions, type ConnectionState, type FileSaved } from "./web/chat-client.js";

const options: ChatClientOptions = { pingMs: 1000, maxRetries: Infinity };
const client = new ChatClient(new URL("ws://127.0.0.1:1/ws/chat"), options);
const withFunctions = new ChatClient(async () => "ws://127.0.0.1:1", { token: () => Promise.resolve("secret"), probeMs: NO_ADDRESS });
withFunctions.onDisconnected = ({ code, reason }) => tokenRefusal(code, reason)?.message.toUpperCase();
const state: ConnectionState = client.state;
client.onMessage = ({ user, text, timestamp }) => [user?.length, text.length, timestamp.toFixed(), state];
client.addEventListener("disconnected", ({ detail }) => detail.retryMs === null && detail.code === DEAD);
client.setUsername("ann");
client.joinRoom("lobby");
client.connect();
const id: number = client.sendMessage("hello");
const told: boolean = client.sendTyping();
const saved: Promise<FileSaved> = client.sendFile(new File(["x"], "x.txt"), { signal: AbortSignal.timeout(id) });
saved.catch((error) => error instanceof UploadError && error.code);
client.leaveRoom();
client.disconnect();

// @ts-expect-error: a text must be a string
client.sendMessage(1);
// @ts-expect-error: there is no such event
client.addEventListener("noSuchEvent", () => told);
// @ts-expect-error: the state is read-only
client.state = "open";
