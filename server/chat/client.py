"""The state of one chat client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.chat.member import Member
    from server.chat.room import Room
    from server.token_bucket import TokenBucket


class Client:
    """A chat client and its connection.

    Args:
        client_id: the id that `connected` sends to the client.
        connection: receives the client's frames.

    Attributes:
        username: None until the client sets one.
        room: the room that the client is in, or None.
        room_name: that room's name as this client spelled it.
        joins: number of joins so far; distinguishes one membership from an earlier one.
        chat_bucket: limits `chat` messages; made when the first one arrives.
    """

    __slots__ = ("chat_bucket", "client_id", "enqueue", "joins", "room", "room_name", "username", "write")

    def __init__(self, client_id: str, connection: Member) -> None:
        self.client_id = client_id
        self.write = connection.write
        self.enqueue = connection.enqueue
        self.username: str | None = None
        self.room: Room | None = None
        self.room_name = ""
        self.joins = 0
        self.chat_bucket: TokenBucket | None = None
