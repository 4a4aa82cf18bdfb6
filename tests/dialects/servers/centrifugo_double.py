"""A double of Centrifugo: its client protocol 2 in JSON.

Subscribers may publish, and get their own publications. What waits to be sent shares a frame, and the server's ping is
the message `{}`, as with Centrifugo.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

from tests.dialects.servers.asgi import serve
from tests.dialects.servers.double import ProtocolError, Session, make_app
from tests.dialects.servers.serving import flags

if TYPE_CHECKING:
    import argparse

    from starlette.websockets import WebSocket

    from tests.dialects.servers.double import Hub

PATH = "/connection/websocket"

PERMISSION_DENIED = {"code": 103, "message": "permission denied"}
ALREADY_SUBSCRIBED = {"code": 105, "message": "already subscribed"}
INVALID_TOKEN = (3500, "invalid token")
NO_PONG = (3012, "no pong")


class Client(Session):
    """A connection of a client."""

    separator = "\n"

    def __init__(self, hub: Hub, options: argparse.Namespace, websocket: WebSocket) -> None:
        super().__init__(hub, options, websocket)
        self._last_id = 0
        self._is_connected = False
        self._owes_pong = False
        self._pings: asyncio.Task[None] | None = None

    def receive(self, text: str) -> None:
        """Handle the commands of a frame, each on a line of its own."""
        for line in filter(None, text.split("\n")):
            command = json.loads(line)
            if not isinstance(command, dict):
                raise ProtocolError(f"expected an object: {line}")
            if command:
                self._execute(command, line)
            elif self._owes_pong:
                self._owes_pong = False
            else:
                raise ProtocolError("a pong without a ping")

    async def run(self) -> None:
        """Serve the connection, and end its pings."""
        try:
            await super().run()
        finally:
            if self._pings is not None:
                self._pings.cancel()

    def _execute(self, command: dict[str, Any], line: str) -> None:
        number = command.pop("id", None)
        if not isinstance(number, int) or number <= self._last_id:
            raise ProtocolError(f"expected an id above {self._last_id}: {line}")
        self._last_id = number
        if len(command) != 1:
            raise ProtocolError(f"expected one request: {line}")
        ((kind, request),) = command.items()
        if self._is_connected != (kind != "connect"):
            raise ProtocolError(f"expected `connect` first, and once: {line}")
        if kind == "connect":
            self._connect(number, request)
        elif kind in ("subscribe", "unsubscribe", "publish"):
            error = getattr(self, f"_{kind}")(request["channel"], request)
            if error is not None:
                self._send(id=number, error=error)
            elif not self.options.never_acknowledge:
                self._send(id=number, **{kind: {}})
        else:
            raise ProtocolError(f"no such request: {line}")

    def _connect(self, number: int, request: dict[str, Any]) -> None:
        if self.options.token not in (None, request.get("token")):
            self.close(*INVALID_TOKEN)
            return
        self._is_connected = True
        self._send(
            id=number,
            connect={"client": str(uuid.uuid4()), "version": "double", "ping": self.options.ping_seconds, "pong": True},
        )
        self._pings = asyncio.create_task(self._ping())

    def _subscribe(self, channel: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if channel == self.options.refuse_room:
            return PERMISSION_DENIED
        if self.hub.has(channel, self):
            return ALREADY_SUBSCRIBED
        self.hub.join(channel, self)
        return None

    def _unsubscribe(self, channel: str, request: dict[str, Any]) -> None:
        if self.hub.has(channel, self):
            self.hub.leave(channel, self)

    def _publish(self, channel: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if not self.hub.has(channel, self):
            return PERMISSION_DENIED
        self.hub.publish(channel, _line(push={"channel": channel, "pub": {"data": request["data"]}}))
        return None

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self.options.ping_seconds)
            if self._owes_pong:
                self.close(*NO_PONG)
                return
            self._owes_pong = True
            self._send()

    def _send(self, **reply: Any) -> None:
        self.send(_line(**reply))


def _line(**message: Any) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    parser = flags()
    parser.add_argument("--ping-seconds", type=int, default=25)
    options = parser.parse_args()
    serve(make_app(PATH, Client, options), options.port)
