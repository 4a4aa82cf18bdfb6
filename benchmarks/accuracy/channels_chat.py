"""Django Channels' tutorial chat on daphne, with a known limit: `python -m benchmarks.accuracy.channels_chat`."""

from __future__ import annotations

import json
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server
from django.conf import settings
from django.urls import re_path

from benchmarks.accuracy.known_limit import KnownLimit, parse_limits


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc] # channels has no types
    """A client in the room of its path."""

    def __init__(self, limit: KnownLimit) -> None:
        super().__init__()
        self._limit = limit
        self._group = ""

    async def connect(self) -> None:
        """Join the room."""
        self._group = f"chat_{self.scope['url_route']['kwargs']['room_name']}"
        await self.channel_layer.group_add(self._group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Leave the room."""
        await self.channel_layer.group_discard(self._group, self.channel_name)

    async def receive(self, text_data: str) -> None:
        """Send a client's message to the room."""
        await self._limit.apply()
        message = json.loads(text_data)["message"]
        await self.channel_layer.group_send(self._group, {"type": "chat.message", "message": message})

    async def chat_message(self, event: dict[str, Any]) -> None:
        """Send a message of the room to the client."""
        await self.send(text_data=json.dumps({"message": event["message"]}))


def main() -> None:
    """Serve until a signal."""
    options = parse_limits()
    settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
    consumer = ChatConsumer.as_asgi(limit=KnownLimit(options.work, options.rate))
    application = ProtocolTypeRouter({"websocket": URLRouter([re_path(r"^ws/chat/(?P<room_name>\w+)/$", consumer)])})
    server = Server(application, build_endpoint_description_strings(host="127.0.0.1", port=0))
    server.ready_callable = lambda: print(f"listening on ws://127.0.0.1:{server.listening_addresses[0][1]}", flush=True)
    server.run()


if __name__ == "__main__":
    main()
