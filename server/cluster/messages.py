"""The messages between server processes: MessagePack arrays, distinguished by their first element.

A node is one server process from its start to its end. Its id is new at each start, so that messages of an earlier
process are never taken for its own. All nodes of a cluster must run the same version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar
from zlib import crc32

import msgspec

from server.chat.broker import EVERYONE, WATCHERS, PresenceChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

ITEM_BYTES: Final = 16
"""Upper bound of the encoding overhead of one item, beside its text and its frame."""

SLOTS: Final = 128
"""Number of subjects onto which rooms are hashed: each subscription costs a task, so rooms cannot have one each."""

NODES: Final = "stampede.nodes"
"""The subject to which every node subscribes."""

EVERYONE_SUBJECT: Final = "stampede.everyone"
"""The subject of messages to all chat clients."""

WATCHERS_SUBJECT: Final = "stampede.watchers"
"""The subject of messages to the watchers of all nodes."""


def slot_of(room: str) -> int:
    """Return the slot of a room's messages, the same in every process."""
    return crc32(room.encode()) % SLOTS


def slot_subject(slot: int) -> str:
    """Return the subject of a slot."""
    return f"stampede.room.{slot}"


def subject_of(room: str) -> str:
    """Return the subject of a room's messages; EVERYONE and WATCHERS have their own."""
    if room == EVERYONE:
        return EVERYONE_SUBJECT
    return WATCHERS_SUBJECT if room == WATCHERS else slot_subject(slot_of(room))


def node_subject(node: str) -> str:
    """Return the subject to which only one node subscribes."""
    return f"stampede.node.{node}"


class BusMessage(msgspec.Struct, array_like=True, frozen=True):
    """Base of the messages below; `node` is the id of the sender."""

    node: str


class Batch(BusMessage, frozen=True, tag="batch"):
    """The frames that a node sends to one room in one loop iteration, in order.

    Attributes:
        sent_ms: wall clock of the sender in milliseconds.
        room: the room's key, EVERYONE or WATCHERS.
        number: frames that this node sent on this subject before these; a gap means lost frames.
        entries: the `type` and the complete WebSocket frame of each message.
    """

    sent_ms: float
    room: str
    number: int
    entries: list[tuple[str, bytes]]


class Presence(BusMessage, frozen=True, tag="presence"):
    """The membership changes of one loop iteration, by room; `number` counts these messages of a node from 1."""

    number: int
    rooms: dict[str, PresenceChange]


class Snapshot(BusMessage, frozen=True, tag="snapshot"):
    """One part of a node's members by room, as of its presence message `number`."""

    number: int
    part: int
    parts: int
    members: dict[str, int]


class SnapshotRequest(BusMessage, frozen=True, tag="snapshot_request"):
    """Ask a node, or all nodes, for a snapshot."""


class Heartbeat(BusMessage, frozen=True, tag="heartbeat"):
    """Report that the node is alive, the `number` of its last presence message, and figures for the status page."""

    number: int
    connections: int
    messages_per_second: float


class Leave(BusMessage, frozen=True, tag="leave"):
    """Report that the node shuts down; its members no longer count."""


AnyMessage = Batch | Presence | Snapshot | SnapshotRequest | Heartbeat | Leave

_decoder: Final[msgspec.msgpack.Decoder[AnyMessage]] = msgspec.msgpack.Decoder(AnyMessage)
_encoder: Final = msgspec.msgpack.Encoder()


def encode(message: BusMessage) -> bytes:
    """Encode a message."""
    return _encoder.encode(message)


def decode(payload: bytes) -> AnyMessage:
    """Decode a message.

    Raises:
        msgspec.DecodeError: it is not a message of this protocol.
    """
    return _decoder.decode(payload)


def text_bytes(text: str | None) -> int:
    """Return an upper bound of the encoded size of a name."""
    return ITEM_BYTES if text is None else ITEM_BYTES + len(text.encode())


def change_bytes(change: PresenceChange) -> int:
    """Return an upper bound of the encoded size of a change."""
    return 4 * ITEM_BYTES + sum(map(text_bytes, change.joined_names)) + sum(map(text_bytes, change.left_names))


def divide(items: Iterable[T], size: Callable[[T], int], max_bytes: int) -> list[list[T]]:
    """Divide items, in order, into lists of at most `max_bytes`; a larger item is alone in its list."""
    parts: list[list[T]] = []
    bytes_left = 0
    for item in items:
        bytes_left -= size(item)
        if bytes_left < 0 or not parts:
            parts.append([])
            bytes_left = max_bytes - size(item)
        parts[-1].append(item)
    return parts
