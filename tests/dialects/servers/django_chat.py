"""The chat of Django Channels' tutorial on daphne: the room is in the path, JSON both ways, an echo to the sender."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server
from django.conf import settings
from django.urls import re_path
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.dialects.servers.serving import Counts, flags, print_url, print_warnings

if TYPE_CHECKING:
    import argparse

    from starlette.requests import Request


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc] # channels has no types
    """A client in the room of its path."""

    def __init__(self, options: argparse.Namespace, counts: Counts) -> None:
        super().__init__()
        self._options = options
        self._counts = counts
        self._group: str | None = None

    async def connect(self) -> None:
        """Join the room."""
        room = self.scope["url_route"]["kwargs"]["room_name"]
        token = parse_qs(self.scope["query_string"].decode()).get("token", [""])[0]
        if room == self._options.refuse_room or self._options.token not in (None, token):
            await self.close()  # before accept: HTTP status 403
            return
        self._group = f"chat_{room}"
        await self.channel_layer.group_add(self._group, self.channel_name)
        await self.accept()
        self._counts.clients += 1
        self._counts.members += 1

    async def disconnect(self, code: int) -> None:
        """Leave the room."""
        if self._group is not None:
            self._counts.clients -= 1
            self._counts.members -= 1
            await self.channel_layer.group_discard(self._group, self.channel_name)

    async def receive(self, text_data: str) -> None:
        """Send a client's message to the room."""
        self._counts.messages += 1
        message = json.loads(text_data)["message"]
        await self.channel_layer.group_send(self._group, {"type": "chat.message", "message": message})

    async def chat_message(self, event: dict[str, Any]) -> None:
        """Send a message of the room to the client."""
        self._counts.deliveries += 1
        await self.send(text_data=json.dumps({"message": event["message"]}))


def make_app(options: argparse.Namespace) -> ProtocolTypeRouter:
    """Return the application."""
    counts = Counts()

    async def show_counts(request: Request) -> JSONResponse:
        return JSONResponse(asdict(counts))

    consumer = ChatConsumer.as_asgi(options=options, counts=counts)
    return ProtocolTypeRouter(
        {
            "http": Starlette(routes=[Route("/counts", show_counts)]),
            "websocket": URLRouter([re_path(r"^ws/chat/(?P<room_name>\w+)/$", consumer)]),
        }
    )


def main() -> None:
    """Serve until a signal."""
    parser = flags()
    parser.add_argument("--capacity", type=int, help="messages that a channel holds; the layer's default is 100")
    options = parser.parse_args()
    print_warnings()
    layer: dict[str, Any] = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    if options.capacity is not None:
        layer["CONFIG"] = {"capacity": options.capacity}
    settings.configure(CHANNEL_LAYERS={"default": layer})
    server = Server(make_app(options), build_endpoint_description_strings(host="127.0.0.1", port=options.port))
    server.ready_callable = lambda: print_url(server.listening_addresses[0][1])
    server.run()


if __name__ == "__main__":
    main()
