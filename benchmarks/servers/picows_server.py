"""The chat on picows, which parses and builds frames in C: `python -m benchmarks.servers.picows_server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from benchmarks.servers.conversation import CHAT_PATHS, HEARTBEAT_SECONDS, INVALID, Chat, Client, run, run_now
from benchmarks.servers.members import MemberNet
from server.protocol.messages import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection


class Net(MemberNet[WSTransport]):
    """Sends immediately; picows has no awaitable send."""

    async def send(self, client: Client[WSTransport], message: bytes) -> None:
        """Send to one client."""
        client.socket.send(WSMsgType.TEXT, message)

    async def broadcast(self, clients: Collection[Client[WSTransport]], message: bytes) -> None:
        """Send to many clients."""
        for client in clients:
            client.socket.send(WSMsgType.TEXT, message)


class _Listener(WSListener):
    def __init__(self, chat: Chat[WSTransport]) -> None:
        self._chat = chat

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._client = Client(transport)
        run_now(self._chat.connect(self._client))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            run_now(self._chat.handle(self._client, frame.get_payload_as_bytes()))
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.BINARY:
            transport.send(WSMsgType.TEXT, INVALID)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        run_now(self._chat.disconnect(self._client))


async def _serve(host: str, port: int, threshold: int) -> int:
    chat = Chat(Net(), threshold)
    paths = {path.encode() for path in CHAT_PATHS}

    def listener(request: WSUpgradeRequest) -> WSListener | None:
        return _Listener(chat) if request.path in paths else None

    server = await ws_create_server(
        listener,
        host,
        port,
        enable_auto_ping=True,
        auto_ping_idle_timeout=HEARTBEAT_SECONDS,
        auto_ping_reply_timeout=HEARTBEAT_SECONDS,
        max_frame_size=MAX_FRAME_BYTES,
        backlog=4096,
    )
    return int(server.sockets[0].getsockname()[1])


if __name__ == "__main__":
    run(_serve)
