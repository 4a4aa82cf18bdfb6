"""A double of Pusher Channels, protocol 7, with client events on private channels, and of the application behind it.

The application signs subscriptions; `/pusher/auth` is where Pusher's own client asks for them.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from weakref import WeakValueDictionary

from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.dialects.servers.asgi import serve
from tests.dialects.servers.double import ProtocolError, Session, make_app
from tests.dialects.servers.serving import flags

if TYPE_CHECKING:
    import argparse

    from starlette.requests import Request
    from starlette.websockets import WebSocket

    from tests.dialects.servers.double import Hub

PATH = "/app/{key}"
SECRET = b"app-secret"
PREFIX = "private-"
NO_APPLICATION = (4001, "Application does not exist")
UNSUPPORTED_VERSION = (4007, "Unsupported protocol version")
UNAUTHORIZED = {"type": "AuthError", "error": "The connection is unauthorized.", "status": 401}

numbers = itertools.count(1)


def signature(key: str, socket_id: str, channel: str) -> str:
    """Return the authentication string of a subscription."""
    digest = hmac.new(SECRET, f"{socket_id}:{channel}".encode(), hashlib.sha256).hexdigest()
    return f"{key}:{digest}"


connections: WeakValueDictionary[str, Connection] = WeakValueDictionary()
"""All connections, by their socket IDs."""


class Connection(Session):
    """A connection of a client."""

    def __init__(self, hub: Hub, options: argparse.Namespace, websocket: WebSocket) -> None:
        super().__init__(hub, options, websocket)
        self._socket_id = f"{next(numbers)}.{next(numbers)}"
        connections[self._socket_id] = self

    def open(self) -> None:
        """Tell the client its socket ID, unless its request is wrong."""
        if self.websocket.path_params["key"] != self.options.key:
            self.close(*NO_APPLICATION)
        elif self.websocket.query_params.get("protocol") != "7":
            self.close(*UNSUPPORTED_VERSION)
        else:
            data = json.dumps({"socket_id": self._socket_id, "activity_timeout": 120})
            self._send("pusher:connection_established", data=data)

    def receive(self, text: str) -> None:
        """Handle an event."""
        message = json.loads(text)
        event, data = message["event"], message["data"]
        if event == "pusher:ping":
            self._send("pusher:pong", data={})
        elif event == "pusher:subscribe":
            self._subscribe(data["channel"], data.get("auth"))
        elif event == "pusher:unsubscribe":
            if self.hub.has(data["channel"], self):
                self.hub.leave(data["channel"], self)
        elif event.startswith("client-"):
            channel = message["channel"]
            if not self.hub.has(channel, self):
                raise ProtocolError(f"a client event of a channel without a subscription: {text}")
            event_text = json.dumps({"event": event, "channel": channel, "data": data})
            self.hub.publish(channel, event_text, sender=self)
        else:
            raise ProtocolError(f"no such event: {text}")

    def _subscribe(self, channel: str, auth: str | None) -> None:
        if not channel.startswith(PREFIX):
            raise ProtocolError(f"{channel} is no private channel")
        if auth != signature(self.options.key, self._socket_id, channel):
            self._send("pusher:subscription_error", channel=channel, data=UNAUTHORIZED)
            return
        self.hub.join(channel, self)
        if not self.options.never_acknowledge:
            self._send("pusher_internal:subscription_succeeded", channel=channel, data="{}")

    def _send(self, event: str, **values: Any) -> None:
        self.send(json.dumps({"event": event, **values}))


def authorization(options: argparse.Namespace) -> Route:
    """Return the endpoint of the application that signs subscriptions."""

    async def sign(request: Request) -> JSONResponse:
        if options.token is not None and request.headers.get("Authorization") != f"Bearer {options.token}":
            return JSONResponse({"error": "unauthorized"}, status_code=401)
        form = dict(parse_qsl((await request.body()).decode()))
        socket_id, channel = form["socket_id"], form["channel_name"]
        if channel == f"{PREFIX}{options.refuse_room}":
            return JSONResponse({"error": "forbidden"}, status_code=403)
        return JSONResponse({"auth": signature(options.key, socket_id, channel)})

    return Route(options.sign_path, sign, methods=["POST"])


def publication(options: argparse.Namespace) -> Route:
    """Return the endpoint of the application that takes messages, and triggers an event for the others."""

    async def publish(request: Request) -> JSONResponse:
        if options.token is not None and request.headers.get("Authorization") != f"Bearer {options.token}":
            return JSONResponse({"error": "unauthorized"}, status_code=401)
        channel = f"{PREFIX}{request.path_params['room']}"
        data = (await request.body()).decode()  # JSON, which stands in a string
        event = json.dumps({"event": "MessageSent", "channel": channel, "data": data})
        request.app.state.hub.publish(channel, event, sender=connections.get(request.headers["X-Socket-ID"]))
        return JSONResponse({}, status_code=202)

    return Route("/rooms/{room}/messages", publish, methods=["POST"])


if __name__ == "__main__":
    parser = flags()
    parser.add_argument("--key", default="app-key")
    parser.add_argument("--sign-path", default="/pusher/auth")
    options = parser.parse_args()
    serve(make_app(PATH, Connection, options, [authorization(options), publication(options)]), options.port)
