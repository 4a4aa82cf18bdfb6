"""One node of a cluster: publishes what its clients do on the bus, and receives what clients of other nodes do.

Local members are served at once, without the bus. On the bus, the frames that a room gets in one loop iteration are
one message. Nodes with members in rooms of the same slot receive it. The bus delivers at most once, and each node's
messages in order. Lost messages leave a gap in the numbering and are counted. When the bus is congested, ephemeral
messages are dropped first; every drop is counted.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from server.chat.broker import PresenceChange
from server.chat.room import EPHEMERAL
from server.cluster import messages as bus
from server.cluster.membership import RemoteMembership
from server.cluster.messages import (
    EVERYONE_SUBJECT,
    NODES,
    WATCHERS_SUBJECT,
    node_subject,
    slot_of,
    slot_subject,
    subject_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from server.chat.batching import BatchScheduler
    from server.chat.room import Room
    from server.stats import ServerStats

SOFT_BACKLOG: Final = 1024 * 1024
"""Unsent bytes above which ephemeral messages are dropped."""

HARD_BACKLOG: Final = 8 * 1024 * 1024
"""Unsent bytes above which all messages are dropped."""

LATE_SECONDS: Final = 1.0
"""Inbound delay above which this node is overloaded and drops the ephemeral messages that it receives."""

_REMOVED_NODES: Final = 64
"""Removed nodes whose sequence numbers are kept: they may only be unreachable for a while."""

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


class Receiver(Protocol):
    """Receives what happens on other nodes; the hub."""

    def receive_messages(self, key: str, entries: list[Entry]) -> None:
        """Deliver messages to the local members of a room."""

    def receive_room_state(self, key: str, *, is_open: bool) -> None:
        """Tell the watchers that a room opened or closed on other nodes."""

    def receive_presence(self, key: str, change: PresenceChange) -> None:
        """Tell the local members of a room who joined or left."""


class Node:
    """One node: the broker of this process' hub, and the receiver of bus messages.

    Args:
        id_: new at each start.
        link: the connection to the bus; it passes inbound messages to `receive`.
        rooms: the rooms with local members, by key.
        stats: counts messages, losses and lag.
        scheduler: sends at the end of the loop iteration.
        clock: monotonic seconds.
        wall_ms: wall clock in milliseconds; the lag between hosts is as exact as their clocks agree.
        messages_per_second: the rate of messages from clients of this node, for the status pages of the others.

    Attributes:
        remote: the members on other nodes.
    """

    def __init__(
        self,
        id_: str,
        link: Link,
        rooms: Mapping[str, Room],
        stats: ServerStats,
        *,
        scheduler: BatchScheduler,
        clock: Callable[[], float],
        wall_ms: Callable[[], float],
        messages_per_second: Callable[[], float],
    ) -> None:
        self._id = id_
        self._link = link
        self._rooms = rooms
        self._stats = stats
        self._scheduler = scheduler
        self._clock = clock
        self._wall_ms = wall_ms
        self._messages_per_second = messages_per_second
        self._receiver: Receiver
        self.remote = RemoteMembership(clock())
        self._frames: dict[str, list[Entry]] = {}  # to send at the end of this iteration, by room
        self._changes: dict[str, PresenceChange] = {}  # to send at the end of this iteration, by room
        self._presence_number = 0
        self._sent: Counter[str] = Counter()  # frames so far, by subject
        self._received: dict[str, dict[str, int]] = {}  # frames so far, by node and subject
        self._rooms_by_slot: Counter[int] = Counter()  # number of rooms with local members
        self._flush_scheduled = False

    # --- the broker of the hub ---

    def publish(self, room: str, kind: str, frame: bytes) -> None:
        """Send a message to a room's members on other nodes at the end of the iteration."""
        entries = self._frames.get(room)
        if entries is not None:
            entries.append((kind, frame))
            return
        self._frames[room] = [(kind, frame)]
        self._schedule_flush()

    def member_joined(self, room: str, user: str | None, *, coalesced: bool) -> None:
        """Report at the end of the iteration that a client joined on this node."""
        change = self._change(room)
        names = [] if coalesced else [*change.joined_names, user]
        self._changes[room] = msgspec.structs.replace(change, joined=change.joined + 1, joined_names=names)

    def member_left(self, room: str, user: str | None, *, coalesced: bool) -> None:
        """Report at the end of the iteration that a client left on this node."""
        change = self._change(room)
        names = [] if coalesced else [*change.left_names, user]
        self._changes[room] = msgspec.structs.replace(change, left=change.left + 1, left_names=names)

    def subscribe(self, room: str) -> None:
        """Subscribe to a room's slot when the slot gets its first room with local members."""
        slot = slot_of(room)
        self._rooms_by_slot[slot] += 1
        if self._rooms_by_slot[slot] == 1:
            self._link.subscribe(slot_subject(slot))

    def when_subscribed(self, room: str, callback: Callable[[], None]) -> None:
        """Call back once the bus has confirmed the subscription to a room's slot."""
        self._link.when_subscribed(slot_subject(slot_of(room)), callback)

    def unsubscribe(self, room: str) -> None:
        """Unsubscribe from a slot when its last room with local members closes."""
        slot = slot_of(room)
        self._rooms_by_slot[slot] -= 1
        if not self._rooms_by_slot[slot]:
            subject = slot_subject(slot)
            self._link.unsubscribe(subject)
            for numbers in self._received.values():
                numbers.pop(subject, None)

    def remote_members(self, room: str) -> int:
        """Return the number of members that a room has on other nodes."""
        return self.remote.members(room)

    # --- membership of the cluster ---

    def start(self, receiver: Receiver) -> None:
        """Subscribe to the subjects of all nodes, and exchange snapshots.

        Args:
            receiver: gets what happens on other nodes.
        """
        self._receiver = receiver
        for subject in (NODES, node_subject(self._id), EVERYONE_SUBJECT, WATCHERS_SUBJECT):
            self._link.subscribe(subject)
        self.resynchronise()

    def resynchronise(self) -> None:
        """Request the snapshots of all nodes and send one: at the start, and after the bus was disconnected."""
        self._send(NODES, bus.SnapshotRequest(self._id))
        self._send_snapshot(NODES)

    def send_heartbeat(self) -> None:
        """Send a heartbeat; call this once per heartbeat interval."""
        connections = self._stats.connections
        self._send(NODES, bus.Heartbeat(self._id, self._presence_number, connections, self._messages_per_second()))

    def remove_silent(self) -> None:
        """Remove the nodes that missed their heartbeats; call this several times per heartbeat interval."""
        for node, changes in self.remote.remove_silent(self._clock()).items():
            self._report_changes(changes)
            self._received[node] = self._received.pop(node, {})  # becomes the most recently removed
            removed = [id_ for id_ in self._received if id_ not in self.remote]
            for id_ in removed[:-_REMOVED_NODES]:
                del self._received[id_]

    def stop(self) -> None:
        """Tell the other nodes that this one leaves."""
        self._send(NODES, bus.Leave(self._id))

    # --- outbound messages ---

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

    @property
    def _max_items_bytes(self) -> int:
        """Largest encoded size of the items of one message."""
        return self._link.max_payload - _HEAD_BYTES

    def _presence_messages(self, changes: dict[str, PresenceChange]) -> list[tuple[str, bytes]]:
        """Return an iteration's changes in as few messages as their size allows, each with its own number."""
        if not self._link.is_connected:
            self._presence_number += 1  # the other nodes notice the gap
            return []
        max_bytes = self._max_items_bytes
        rooms = [(room, self._complete(room, change, max_bytes)) for room, change in changes.items()]
        messages = []
        for part in bus.divide(rooms, lambda item: bus.text_bytes(item[0]) + bus.change_bytes(item[1]), max_bytes):
            self._presence_number += 1
            messages.append((NODES, bus.encode(bus.Presence(self._id, self._presence_number, dict(part)))))
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
        return list if backlog <= SOFT_BACKLOG else self._drop_ephemeral

    def _drop_all(self, reason: str, entries: list[Entry]) -> list[Entry]:
        self._stats.bus_dropped[reason] += len(entries)
        return []

    def _drop_ephemeral(self, entries: list[Entry]) -> list[Entry]:
        kept = [entry for entry in entries if entry[0] not in EPHEMERAL]
        self._stats.bus_dropped["ephemeral"] += len(entries) - len(kept)
        return kept

    def _send_snapshot(self, subject: str) -> None:
        """Send the local members of all rooms in as few messages as their size allows."""
        members = [(key, len(room)) for key, room in self._rooms.items()]
        parts = bus.divide(members, lambda item: bus.text_bytes(item[0]), self._max_items_bytes) or [[]]
        for number, part in enumerate(parts):
            self._send(subject, bus.Snapshot(self._id, self._presence_number, number, len(parts), dict(part)))

    def _send(self, subject: str, message: bus.BusMessage) -> None:
        if self._link.is_connected:
            self._publish([(subject, bus.encode(message))])

    def _publish(self, messages: list[tuple[str, bytes]]) -> None:
        if messages:
            self._stats.bus_messages["sent"] += len(messages)
            self._link.publish(messages)

    # --- inbound messages ---

    def receive(self, subject: str, payload: bytes) -> None:
        """Handle a message from the bus.

        Raises:
            msgspec.DecodeError: it is not a message of this protocol.
        """
        message = bus.decode(payload)
        self._stats.bus_messages["received"] += 1
        if message.node == self._id:
            return  # sent on an abandoned connection; NATS suppresses only the echo of the current one
        if type(message) is bus.Batch:
            self._receive_batch(subject, message)
            return
        now = self._clock()
        match message:
            case bus.Presence():
                if self.remote.is_stale(message):
                    return
                if not self.remote.apply_presence(message, now):
                    self._send(node_subject(message.node), bus.SnapshotRequest(self._id))
                self._report_changes(message.rooms)
            case bus.Snapshot():
                self._report_changes(self.remote.apply_snapshot(message, now))
            case bus.Heartbeat():
                if not self.remote.apply_heartbeat(message, now):
                    self._send(node_subject(message.node), bus.SnapshotRequest(self._id))
            case bus.SnapshotRequest():
                self._send_snapshot(node_subject(message.node))
            case bus.Leave():
                self._report_changes(self.remote.remove(message.node))
                self._received.pop(message.node, None)

    def _receive_batch(self, subject: str, batch: bus.Batch) -> None:
        received = self._received.setdefault(batch.node, {})
        number, entries = batch.number, batch.entries
        missed = number - received.get(subject, number)
        if missed < 0:
            return  # late, from a connection that the node has abandoned: out of order, and already counted as lost
        stats = self._stats
        if missed:
            stats.bus_dropped["lost"] += missed
        received[subject] = number + len(entries)
        stats.bus_lag.observe(max(0.0, (self._wall_ms() - batch.sent_ms) / 1000))
        if self._link.delay > LATE_SECONDS:
            entries = self._drop_ephemeral(entries)
        self._receiver.receive_messages(batch.room, entries)

    def _report_changes(self, changes: dict[str, PresenceChange]) -> None:
        for room, is_open in self.remote.take_room_states().items():
            self._receiver.receive_room_state(room, is_open=is_open)
        for room, change in changes.items():
            self._receiver.receive_presence(room, change)


def _entry_bytes(entry: Entry) -> int:
    return _ENTRY_BYTES + len(entry[1])
