"""The chat on aiohttp's server: `python -m benchmarks.servers.aiohttp_server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from benchmarks.servers.conversation import CHAT_PATHS, HEARTBEAT_SECONDS, Chat, Client, run
from benchmarks.servers.members import MemberNet
from server.protocol.messages import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection


class Net(MemberNet[web.WebSocketResponse]):
    """Sends as the library's documentation shows, one member after the other."""

    async def send(self, client: Client[web.WebSocketResponse], message: bytes) -> None:
        """Send to one client, unless it has disconnected."""
        await self.broadcast((client,), message)

    async def broadcast(self, clients: Collection[Client[web.WebSocketResponse]], message: bytes) -> None:
        """Send to many clients."""
        for client in tuple(clients):
            if not client.socket.closed:
                try:
                    await client.socket.send_frame(message, WSMsgType.TEXT)
                except ConnectionError:
                    continue  # it disconnected meanwhile; its own handler detects that


async def _serve(host: str, port: int, threshold: int) -> int:
    chat = Chat(Net(), threshold)

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS, compress=False, max_msg_size=MAX_FRAME_BYTES, decode_text=False
        )
        await socket.prepare(request)
        client = Client(socket)
        await chat.connect(client)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await chat.handle(client, message.data)
        finally:
            await chat.disconnect(client)
        return socket

    app = web.Application()
    app.add_routes([web.get(path, handle) for path in CHAT_PATHS])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=4096)
    await site.start()
    return int(runner.addresses[0][1])


if __name__ == "__main__":
    run(_serve)
