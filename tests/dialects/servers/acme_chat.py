"""The chat server of docs/dialects/your-own-server.md, which has a protocol of its own in JSON.

Clients log in with a message, subscribe to channels, and answer pings.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from tests.dialects.servers.asgi import serve
from tests.dialects.servers.double import ProtocolError, Session, make_app
from tests.dialects.servers.serving import flags

if TYPE_CHECKING:
    import argparse

    from starlette.websockets import WebSocket

    from tests.dialects.servers.double import Hub

PING_SECONDS = 20.0
MISSED_PONGS = 2


class AcmeSession(Session):
    """A connection; messages are objects with a `type`."""

    _last_session = 16
    _last_message = 1041

    def __init__(self, hub: Hub, options: argparse.Namespace, websocket: WebSocket) -> None:
        super().__init__(hub, options, websocket)
        self._user: str | None = None
        self._unanswered_pings = 0
        self._pings: asyncio.TimerHandle

    def _send(self, kind: str, **fields: Any) -> None:
        self.send(_encode(kind, fields))

    def open(self) -> None:
        """Greet the client, and ping it from now on."""
        self._send("hello", version=3)
        self._schedule_ping()

    def _schedule_ping(self) -> None:
        self._pings = asyncio.get_running_loop().call_later(self.options.ping_seconds, self._ping)

    def _ping(self) -> None:
        if self._unanswered_pings == MISSED_PONGS:
            self.close(4008, "no pong")
            return
        self._unanswered_pings += 1
        self._send("ping")
        self._schedule_ping()

    async def run(self) -> None:
        """Serve the connection until its end."""
        try:
            await super().run()
        finally:
            self._pings.cancel()

    def receive(self, text: str) -> None:
        """Handle a message.

        Raises:
            ProtocolError: it is no JSON object.
        """
        try:
            message = json.loads(text)
        except json.JSONDecodeError:
            message = None
        if not isinstance(message, dict):
            raise ProtocolError(f"no JSON object: {text[:100]}")
        kind = message.get("type")
        if kind == "pong":
            self._unanswered_pings = 0
        elif kind == "login":
            self._log_in(message)
        elif self._user is None:
            self._send("error", code="not_logged_in", message="log in first")
        elif kind in ("subscribe", "unsubscribe", "publish"):
            getattr(self, f"_{kind}")(str(message.get("channel")), message)
        else:
            self._send("error", code="unknown_type", message=str(kind))

    def _log_in(self, message: dict[str, Any]) -> None:
        if self.options.token not in (None, message.get("token")):
            self._send("error", code="bad_token", message="unknown token")
            self.close(4001, "bad token")
            return
        self._user = str(message.get("user"))
        AcmeSession._last_session += 1
        self._send("login_ok", session=f"s-{AcmeSession._last_session}")

    def _subscribe(self, channel: str, _: dict[str, Any]) -> None:
        if channel == self.options.refuse_room:
            self._send("error", code="forbidden", message="no permission")
            return
        if not self.hub.has(channel, self):
            self.hub.join(channel, self)
        if not self.options.never_acknowledge:
            self._send("subscribed", channel=channel)

    def _unsubscribe(self, channel: str, _: dict[str, Any]) -> None:
        if self.hub.has(channel, self):
            self.hub.leave(channel, self)
        self._send("unsubscribed", channel=channel)

    def _publish(self, channel: str, message: dict[str, Any]) -> None:
        AcmeSession._last_message += 1
        number = AcmeSession._last_message
        if not self.hub.has(channel, self):
            self._send("error", code="not_subscribed", message="subscribe first")
            return
        fields = {"channel": channel, "id": number, "from": self._user, "body": message.get("body")}
        self.hub.publish(channel, _encode("message", fields), self)
        self._send("published", ref=message.get("ref"), id=number)


def _encode(kind: str, fields: dict[str, Any]) -> str:
    return json.dumps({"type": kind, **fields}, separators=(",", ":"))


if __name__ == "__main__":
    parser = flags()
    parser.add_argument("--ping-seconds", type=float, default=PING_SECONDS)
    options = parser.parse_args()
    serve(make_app("/socket", AcmeSession, options), options.port)
