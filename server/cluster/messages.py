"""What server processes tell each other over the bus: arrays in MessagePack, told apart by their first element.

A node is one server process from its start to its end: its id is new at each start, so nothing that an earlier one
said is ever mistaken for its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar
from zlib import crc32

import msgspec

from server.chat.relay import EVERYONE, WATCHERS, Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

ITEM_BYTES: Final = 16
"""What an item of a message takes beside its text and its frame, at most."""

SLOTS: Final = 128
"""Rooms are hashed onto so many subjects: a subscription costs a task, and not every room can have one."""

NODES: Final = "stampede.nodes"
"""The subject that every node hears."""

EVERYONE_SUBJECT: Final = "stampede.everyone"
"""The subject of what is said to all chat clients."""

WATCHERS_SUBJECT: Final = "stampede.watchers"
"""The subject of what those who watch any of the servers are told."""


def slot_of(room: str) -> int:
    """Return which of the subjects a room's messages take: the same in every process."""
    return crc32(room.encode()) % SLOTS


def slot_subject(slot: int) -> str:
    """Return the subject of a slot."""
    return f"stampede.room.{slot}"


def subject_of(room: str) -> str:
    """Return the subject of what a room is told; EVERYONE and WATCHERS have their own."""
    if room == EVERYONE:
        return EVERYONE_SUBJECT
    return WATCHERS_SUBJECT if room == WATCHERS else slot_subject(slot_of(room))


def node_subject(node: str) -> str:
    """Return the subject that one node alone hears."""
    return f"stampede.node.{node}"


class BusMessage(msgspec.Struct, array_like=True, frozen=True):
    """Any of the messages below; `node` is who says it."""

    node: str


class Batch(BusMessage, frozen=True, tag="batch"):
    """The frames of one tick of a room, in order.

    Attributes:
        sent_ms: wall clock of the sender.
        room: its name, EVERYONE or WATCHERS.
        number: frames that this node sent on this subject before these: a gap is a loss.
        entries: the `type` of each message, and the complete WebSocket frame it is in.
    """

    sent_ms: float
    room: str
    number: int
    entries: list[tuple[str, bytes]]


class Presence(BusMessage, frozen=True, tag="presence"):
    """All changes of one tick, by room; `number` counts a node's messages of this kind, beginning with 1."""

    number: int
    rooms: dict[str, Change]


class Snapshot(BusMessage, frozen=True, tag="snapshot"):
    """Part of the members of all rooms of a node, as of its presence message `number`."""

    number: int
    part: int
    parts: int
    members: dict[str, int]


class Ask(BusMessage, frozen=True, tag="ask"):
    """Please send me a snapshot."""


class Beat(BusMessage, frozen=True, tag="beat"):
    """I am here; `number` is that of my last presence message, the rest is for the status page."""

    number: int
    connections: int
    messages_per_second: float


class Bye(BusMessage, frozen=True, tag="bye"):
    """I am going; nothing of mine counts any more."""


Any = Batch | Presence | Snapshot | Ask | Beat | Bye

_decoder: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(Any)
_encoder: Final = msgspec.msgpack.Encoder()


def encode(message: BusMessage) -> bytes:
    """Return a message as it travels."""
    return _encoder.encode(message)


def decode(payload: bytes) -> Any:
    """Return the message that travelled.

    Raises:
        msgspec.DecodeError: it is none of ours.
    """
    return _decoder.decode(payload)


def text_bytes(text: str | None) -> int:
    """Return the bytes that a name takes in a message, at most."""
    return ITEM_BYTES if text is None else ITEM_BYTES + len(text.encode())


def change_bytes(change: Change) -> int:
    """Return the bytes that a change takes in a message, at most."""
    return 4 * ITEM_BYTES + sum(map(text_bytes, change.joined)) + sum(map(text_bytes, change.left))


def divide(items: Iterable[T], size: Callable[[T], int], most: int) -> list[list[T]]:
    """Divide items, in their order, into lists of at most `most` bytes; a larger item has a list of its own."""
    parts: list[list[T]] = []
    room_left = 0
    for item in items:
        room_left -= size(item)
        if room_left < 0 or not parts:
            parts.append([])
            room_left = most - size(item)
        parts[-1].append(item)
    return parts
