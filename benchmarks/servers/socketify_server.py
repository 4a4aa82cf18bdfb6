"""The chat on socketify, whose topics and `publish` are native: `python -m benchmarks.servers.socketify_server`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Final

from socketify import App, CompressOptions, OpCode
from socketify.native import lib

from benchmarks.servers.conversation import CHAT_PATHS, INVALID, Chat, Client, listening, run_now, server_options
from server.protocol.messages import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from socketify import AppListenOptions, Request, Response, WebSocket

EVERYONE: Final = b"everyone"
IDLE_SECONDS: Final = 120
"""The server pings a client before it has been idle for so long."""
MAX_UNSENT_BYTES: Final = 1024 * 1024


def _topic(room: str) -> bytes:
    return b"room " + room.encode()


class Net:
    """Publishes to topics: a room is a topic. The socket of a client that has disconnected is None."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def send(self, client: Client[WebSocket], message: bytes) -> None:
        """Send to one client."""
        client.socket.send(message, OpCode.TEXT)

    async def send_to_others(self, client: Client[WebSocket], room: str, message: bytes) -> None:
        """Publish to the other members of the client's room."""
        # The library's `WebSocket.publish` sends to the client, too, unlike the native function.
        topic, size = _topic(room), len(message)
        lib.uws_ws_publish_with_options(
            self._app.SSL, client.socket.ws, topic, len(topic), message, size, OpCode.TEXT, False
        )

    async def send_to_room(self, room: str, message: bytes) -> None:
        """Publish to all members of a room."""
        self._app.publish(_topic(room), message, OpCode.TEXT)

    async def send_to_everyone(self, message: bytes) -> None:
        """Publish to all clients."""
        self._app.publish(EVERYONE, message, OpCode.TEXT)

    def connect(self, client: Client[WebSocket]) -> None:
        """Subscribe to the messages to all clients."""
        client.socket.subscribe(EVERYONE)

    def disconnect(self, client: Client[WebSocket]) -> None:
        """Do nothing: a socket that closed has left its topics."""

    def enter(self, client: Client[WebSocket], room: str) -> None:
        """Subscribe to a room."""
        client.socket.subscribe(_topic(room))

    def leave(self, client: Client[WebSocket], room: str) -> None:
        """Unsubscribe from a room, unless the socket has closed."""
        if client.socket is not None:
            client.socket.unsubscribe(_topic(room))


def _behaviour(chat: Chat[Any]) -> dict[str, Any]:
    def upgrade(response: Response, request: Request, context: object) -> None:
        if request.get_url() not in CHAT_PATHS:
            response.write_status(404).end("Not found")
            return
        key, protocol, extensions = (
            request.get_header(f"sec-websocket-{name}") for name in ("key", "protocol", "extensions")
        )
        response.upgrade(key, protocol, extensions, context, Client(None))

    def opened(socket: WebSocket) -> None:
        client = socket.get_user_data()
        client.socket = socket
        run_now(chat.connect(client))

    def received(socket: WebSocket, text: str | bytes, _opcode: OpCode) -> None:
        if isinstance(text, str):
            run_now(chat.handle(socket.get_user_data(), text.encode()))
        else:
            socket.send(INVALID, OpCode.TEXT)

    def closed(socket: WebSocket, _code: int, _reason: bytes | None) -> None:
        client = socket.get_user_data()
        client.socket = None
        run_now(chat.disconnect(client))

    return {
        "compression": CompressOptions.DISABLED,
        "idle_timeout": IDLE_SECONDS,
        "send_pings_automatically": True,
        "max_payload_length": MAX_FRAME_BYTES,
        "max_backpressure": MAX_UNSENT_BYTES,
        "upgrade": upgrade,
        "open": opened,
        "message": received,
        "close": closed,
    }


def main() -> None:
    """Serve until a signal."""
    options = server_options()
    app = App()
    app.ws("/*", _behaviour(Chat(Net(app), options.presence_threshold)))

    def ready(found: AppListenOptions) -> None:
        listening(options.host, found.port)

    app.listen({"host": options.host, "port": options.port}, ready)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler waits for the next callback
    # `app.run()` polls the sockets and an asyncio loop in turn, also when idle. This chat needs no asyncio.
    app.loop.uv_loop.run()


if __name__ == "__main__":
    main()
