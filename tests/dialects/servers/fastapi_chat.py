"""The chat of FastAPI's documentation: raw text, a private copy to the sender, and a copy to everybody.

The documentation's chat is one room. Here the query parameter `room` chooses one of several.

As documented, a message to a connection that is just closing raises in the handler of its *sender*: the members after
that connection do not get the message, the sender's connection ends, and uvicorn logs a traceback. With
`--skip-closed` such connections are skipped.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query, WebSocket, WebSocketDisconnect, WebSocketException, status

from tests.dialects.servers.asgi import serve
from tests.dialects.servers.serving import Counts, flags

if TYPE_CHECKING:
    import argparse


class ConnectionManager:
    """The connections of a room."""

    def __init__(self, counts: Counts, *, skip_closed: bool) -> None:
        self._counts = counts
        self._skip_closed = skip_closed
        self._connections: list[WebSocket] = []

    async def connect(self, websocket: WebSocket) -> None:
        """Accept a connection and add it to the room."""
        await websocket.accept()
        self._connections.append(websocket)
        self._counts.clients += 1
        self._counts.members += 1

    def disconnect(self, websocket: WebSocket) -> None:
        """Remove a connection."""
        self._connections.remove(websocket)
        self._counts.clients -= 1
        self._counts.members -= 1

    async def send_personal_message(self, text: str, websocket: WebSocket) -> None:
        """Send to one connection."""
        await websocket.send_text(text)

    async def broadcast(self, text: str) -> int:
        """Send to all connections and return their number."""
        count = 0
        for connection in self._connections[:] if self._skip_closed else self._connections:
            try:
                await connection.send_text(text)
                count += 1
            except (WebSocketDisconnect, RuntimeError):
                if not self._skip_closed:
                    raise
        return count


def make_app(options: argparse.Namespace) -> FastAPI:
    """Return the application."""
    app = FastAPI()
    counts = Counts()
    managers: defaultdict[str, ConnectionManager] = defaultdict(
        lambda: ConnectionManager(counts, skip_closed=options.skip_closed)
    )

    @app.get("/counts")
    async def show_counts() -> Counts:
        return counts

    @app.websocket("/ws/{client_id}")
    async def chat(
        websocket: WebSocket, client_id: int, room: Annotated[str, Query()] = "", token: Annotated[str, Query()] = ""
    ) -> None:
        if options.token not in (None, token) or room == options.refuse_room:
            raise WebSocketException(status.WS_1008_POLICY_VIOLATION)  # before accept: HTTP status 403
        manager = managers[room]
        await manager.connect(websocket)
        try:
            while True:
                text = await websocket.receive_text()
                counts.messages += 1
                await manager.send_personal_message(f"You wrote: {text}", websocket)
                counts.deliveries += await manager.broadcast(f"Client #{client_id} says: {text}")
        except WebSocketDisconnect:
            manager.disconnect(websocket)
            await manager.broadcast(f"Client #{client_id} left the chat")

    return app


if __name__ == "__main__":
    parser = flags()
    parser.add_argument("--skip-closed", action="store_true", help="skip connections that are closing")
    options = parser.parse_args()
    serve(make_app(options), options.port)
