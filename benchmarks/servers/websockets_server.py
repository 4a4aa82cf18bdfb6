"""The chat on websockets' asyncio server and its `broadcast()`: `python -m benchmarks.servers.websockets_server`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.servers.conversation import CHAT_PATHS, HEARTBEAT_SECONDS, Chat, Client, run
from benchmarks.servers.members import MemberNet
from server.protocol.messages import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection

    from websockets.http11 import Request, Response


class Net(MemberNet[ServerConnection]):
    """Sends as the library's documentation recommends."""

    async def send(self, client: Client[ServerConnection], message: bytes) -> None:
        """Send to one client."""
        await client.socket.send(message, text=True)

    async def broadcast(self, clients: Collection[Client[ServerConnection]], message: bytes) -> None:
        """Send to many clients."""
        broadcast((client.socket for client in clients), message, text=True)


async def _serve(host: str, port: int, threshold: int) -> int:
    chat = Chat(Net(), threshold)

    def check(connection: ServerConnection, request: Request) -> Response | None:
        return None if request.path in CHAT_PATHS else connection.respond(HTTPStatus.NOT_FOUND, "Not found")

    async def handle(connection: ServerConnection) -> None:
        client = Client(connection)
        try:
            await chat.connect(client)
            while True:
                await chat.handle(client, await connection.recv(decode=False))
        except ConnectionClosed:
            pass
        finally:
            await chat.disconnect(client)

    server = await serve(
        handle,
        host,
        port,
        process_request=check,
        compression=None,
        max_size=MAX_FRAME_BYTES,
        ping_interval=HEARTBEAT_SECONDS,
        backlog=4096,
    )
    return int(server.sockets[0].getsockname()[1])


if __name__ == "__main__":
    run(_serve)
