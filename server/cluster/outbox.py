"""The outbound messages of a node: the events of its clients in one loop iteration, in as few messages as possible.

When the bus is congested, ephemeral messages are dropped first, then all. Every drop is counted.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from server.chat.broker import PresenceChange
from server.chat.room import EPHEMERAL
from server.cluster import messages as bus
from server.cluster.messages import NODES, subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from server.chat.batching import BatchScheduler
    from server.chat.room import Room
    from server.stats import ServerStats

SOFT_BACKLOG: Final = 1024 * 1024
"""Unsent bytes above which ephemeral messages are dropped."""

HARD_BACKLOG: Final = 8 * 1024 * 1024
"""Unsent bytes above which all messages are dropped."""

_ENTRY_BYTES: Final = 64
"""Upper bound of the encoding overhead of a frame: its message type and the lengths of both."""

_HEAD_BYTES: Final = 1024
"""Upper bound of the encoded size of a message without its items: ids, numbers, the name of a room."""


Entry = tuple[str, bytes]
"""Type of a message, and its frame."""


class Link(Protocol):
    """The connection to the bus."""

    @property
    def max_payload(self) -> int:
        """Largest payload of one message in bytes."""

    @property
    def is_connected(self) -> bool: ...

    @property
    def delay(self) -> float:
        """Seconds that inbound messages wait."""

    @property
    def backlog(self) -> int:
        """Unsent bytes."""

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send messages, each a subject and a payload."""

    def subscribe(self, subject: str) -> None: ...

    def when_subscribed(self, subject: str, callback: Callable[[], None]) -> None: ...

    def unsubscribe(self, subject: str) -> None: ...


class Outbox:
    """Collect frames and presence changes by room, and send them at the end of the loop iteration.

    Args:
        id_: of this node.
        link: the connection to the bus.
        rooms: the rooms with local members, by key.
        stats: counts messages sent and dropped.
        scheduler: calls at the end of the loop iteration.
        wall_ms: wall clock in milliseconds.

    Attributes:
        presence_number: number of the last presence message.
    """

    def __init__(
        self,
        id_: str,
        link: Link,
        rooms: Mapping[str, Room],
        stats: ServerStats,
        *,
        scheduler: BatchScheduler,
        wall_ms: Callable[[], float],
    ) -> None:
        self._id = id_
        self._link = link
        self._rooms = rooms
        self._stats = stats
        self._scheduler = scheduler
        self._wall_ms = wall_ms
        self.presence_number = 0
        self._frames: dict[str, list[Entry]] = {}  # by room
        self._changes: dict[str, PresenceChange] = {}  # by room
        self._sent: Counter[str] = Counter()  # frames so far, by subject
        self._flush_scheduled = False

    def add_frame(self, room: str, kind: str, frame: bytes) -> None:
        """Add a message to a room."""
        entries = self._frames.get(room)
        if entries is not None:
            entries.append((kind, frame))
            return
        self._frames[room] = [(kind, frame)]
        self._schedule_flush()

    def add_join(self, room: str, user: str | None, *, coalesced: bool) -> None:
        """Add a local join; if `coalesced`, without its name."""
        change = self._change(room)
        names = [] if coalesced else [*change.joined_names, user]
        self._changes[room] = msgspec.structs.replace(change, joined=change.joined + 1, joined_names=names)

    def add_leave(self, room: str, user: str | None, *, coalesced: bool) -> None:
        """Add a local leave; if `coalesced`, without its name."""
        change = self._change(room)
        names = [] if coalesced else [*change.left_names, user]
        self._changes[room] = msgspec.structs.replace(change, left=change.left + 1, left_names=names)

    def send(self, subject: str, message: bus.BusMessage) -> None:
        """Send a message now, unless the bus is disconnected."""
        if self._link.is_connected:
            self._publish([(subject, bus.encode(message))])

    def send_snapshot(self, subject: str) -> None:
        """Send the local members of all rooms in as few messages as their size allows."""
        members = [(key, len(room)) for key, room in self._rooms.items()]
        parts = bus.divide(members, lambda item: bus.text_bytes(item[0]), self._max_items_bytes) or [[]]
        for number, part in enumerate(parts):
            self.send(subject, bus.Snapshot(self._id, self.presence_number, number, len(parts), dict(part)))

    @property
    def _max_items_bytes(self) -> int:
        """Largest encoded size of the items of one message."""
        return self._link.max_payload - _HEAD_BYTES

    def _change(self, room: str) -> PresenceChange:
        self._schedule_flush()
        return self._changes.get(room) or PresenceChange(0, 0, 0, [], [])

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._scheduler.call_at_end(self._flush)

    def _flush(self) -> None:
        """Send the changes and frames of this iteration."""
        self._flush_scheduled = False
        changes, self._changes = self._changes, {}
        frames, self._frames = self._frames, {}
        messages = self._presence_messages(changes) if changes else []
        if frames:
            keep = self._drop_policy()
            for room, entries in frames.items():
                messages += self._batch_messages(room, keep(entries))
        self._publish(messages)

    def _presence_messages(self, changes: dict[str, PresenceChange]) -> list[tuple[str, bytes]]:
        """Return an iteration's changes in as few messages as their size allows, each with its own number."""
        if not self._link.is_connected:
            self.presence_number += 1  # the other nodes detect the gap
            return []
        max_bytes = self._max_items_bytes
        rooms = [(room, self._complete(room, change, max_bytes)) for room, change in changes.items()]
        messages = []
        for part in bus.divide(rooms, lambda item: bus.text_bytes(item[0]) + bus.change_bytes(item[1]), max_bytes):
            self.presence_number += 1
            messages.append((NODES, bus.encode(bus.Presence(self._id, self.presence_number, dict(part)))))
        return messages

    def _complete(self, room: str, change: PresenceChange, max_bytes: int) -> PresenceChange:
        """Return a change with the current number of members, and without names if they are too long."""
        members = len(self._rooms.get(room, ()))
        if bus.text_bytes(room) + bus.change_bytes(change) > max_bytes:
            return msgspec.structs.replace(change, members=members, joined_names=[], left_names=[])
        return msgspec.structs.replace(change, members=members)

    def _batch_messages(self, room: str, entries: list[Entry]) -> list[tuple[str, bytes]]:
        """Return a room's frames in as few messages as their size allows; a frame too large for one is dropped."""
        subject = subject_of(room)
        max_bytes = self._max_items_bytes
        if sum([len(frame) for _, frame in entries]) + _ENTRY_BYTES * len(entries) <= max_bytes:  # the usual case
            return [(subject, self._encode_batch(subject, room, entries))] if entries else []
        messages = []
        for part in bus.divide(entries, _entry_bytes, max_bytes):
            if len(part) == 1 and _entry_bytes(part[0]) > max_bytes:
                self._stats.bus_dropped["too_large"] += 1
            else:
                messages.append((subject, self._encode_batch(subject, room, part)))
        return messages

    def _encode_batch(self, subject: str, room: str, entries: list[Entry]) -> bytes:
        number = self._sent[subject]
        self._sent[subject] = number + len(entries)
        return bus.encode(bus.Batch(self._id, self._wall_ms(), room, number, entries))

    def _drop_policy(self) -> Callable[[list[Entry]], list[Entry]]:
        """Select the drop policy for the backlog: a function that returns the entries to send and counts the others."""
        if not self._link.is_connected:
            return partial(self._drop_all, "disconnected")
        backlog = self._link.backlog
        if backlog > HARD_BACKLOG:
            return partial(self._drop_all, "backlog")
        return list if backlog <= SOFT_BACKLOG else partial(drop_ephemeral, self._stats)

    def _drop_all(self, reason: str, entries: list[Entry]) -> list[Entry]:
        self._stats.bus_dropped[reason] += len(entries)
        return []

    def _publish(self, messages: list[tuple[str, bytes]]) -> None:
        if messages:
            self._stats.bus_messages["sent"] += len(messages)
            self._link.publish(messages)


def drop_ephemeral(stats: ServerStats, entries: list[Entry]) -> list[Entry]:
    """Return the entries without ephemeral messages, and count those."""
    kept = [entry for entry in entries if entry[0] not in EPHEMERAL]
    stats.bus_dropped["ephemeral"] += len(entries) - len(kept)
    return kept


def _entry_bytes(entry: Entry) -> int:
    return _ENTRY_BYTES + len(entry[1])
