"""Dialects of two chats from documentations, as a user would write them in Python."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from stampede.dialects.base import Dialect, UpgradeRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stampede.ledger.stamp import Fields

PRIVATE = b"You wrote: "


class FastapiChat(Dialect):
    """Plain text; the sender gets a private copy and what everybody gets."""

    name = "fastapi"
    room_is_in_request = True
    rooms_per_connection = 1
    echoes = True

    def request(self, values: Mapping[str, str], rooms: Sequence[str]) -> UpgradeRequest:
        """Name the room in the query; the path needs a number."""
        return UpgradeRequest(f"/ws/{int(re.sub(r'[^0-9]', '', values['user']))}", urlencode({"room": rooms[0]}))

    def say(self, room: str, text: str) -> bytes:
        """Return the text itself."""
        return text.encode()

    def find_stamp(self, payload: bytes) -> Fields | None:
        """Return the stamp of a delivery; the private copy is none."""
        return None if payload.startswith(PRIVATE) else super().find_stamp(payload)


class ChannelsChat(Dialect):
    """JSON with one key; the room is in the path, where the tutorial allows no hyphen."""

    name = "channels"
    room_is_in_request = True
    rooms_per_connection = 1
    echoes = True

    def request(self, values: Mapping[str, str], rooms: Sequence[str]) -> UpgradeRequest:
        """Name the room in the path."""
        return UpgradeRequest(f"/ws/chat/{rooms[0].replace('-', '_')}/")

    def say(self, room: str, text: str) -> bytes:
        """Return the message as JSON."""
        return self.encode({"message": text})
