"""One node of a cluster: publish the events of local clients on the bus, and receive those of other nodes.

Local members are served at once, without the bus. On the bus, the frames that a room gets in one loop iteration are
one message. Nodes with members in rooms of the same slot receive it. The bus delivers at most once, and each node's
messages in order. Lost messages leave a gap in the numbering and are counted.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from server.cluster import messages as bus
from server.cluster.membership import RemoteMembership
from server.cluster.messages import EVERYONE_SUBJECT, NODES, WATCHERS_SUBJECT, node_subject, slot_of, slot_subject
from server.cluster.outbox import Outbox, drop_ephemeral

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.chat.batching import BatchScheduler
    from server.chat.broker import PresenceChange
    from server.chat.room import Room
    from server.cluster.outbox import Entry, Link
    from server.stats import ServerStats

LATE_SECONDS: Final = 1.0
"""Inbound delay above which this node is overloaded and drops the ephemeral messages that it receives."""

_REMOVED_NODES: Final = 64
"""Removed nodes whose sequence numbers are kept: they may only be unreachable for a while."""


class Receiver(Protocol):
    """Receives the events of other nodes; the hub."""

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
        self._stats = stats
        self._clock = clock
        self._wall_ms = wall_ms
        self._messages_per_second = messages_per_second
        self._outbox = Outbox(id_, link, rooms, stats, scheduler=scheduler, wall_ms=wall_ms)
        self._receiver: Receiver
        self.remote = RemoteMembership(clock())
        self._received: dict[str, dict[str, int]] = {}  # frames so far, by node and subject
        self._rooms_by_slot: Counter[int] = Counter()  # number of rooms with local members

    # --- the broker of the hub ---

    def publish(self, room: str, kind: str, frame: bytes) -> None:
        """Send a message to a room's members on other nodes at the end of the iteration."""
        self._outbox.add_frame(room, kind, frame)

    def member_joined(self, room: str, user: str | None, *, coalesced: bool) -> None:
        """Report at the end of the iteration that a client joined on this node."""
        self._outbox.add_join(room, user, coalesced=coalesced)

    def member_left(self, room: str, user: str | None, *, coalesced: bool) -> None:
        """Report at the end of the iteration that a client left on this node."""
        self._outbox.add_leave(room, user, coalesced=coalesced)

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
            receiver: receives the events of other nodes.
        """
        self._receiver = receiver
        for subject in (NODES, node_subject(self._id), EVERYONE_SUBJECT, WATCHERS_SUBJECT):
            self._link.subscribe(subject)
        self.resynchronise()

    def resynchronise(self) -> None:
        """Request the snapshots of all nodes and send one: at the start, and after the bus was disconnected."""
        self._outbox.send(NODES, bus.SnapshotRequest(self._id))
        self._outbox.send_snapshot(NODES)

    def send_heartbeat(self) -> None:
        """Send a heartbeat; call this once per heartbeat interval."""
        connections, rate = self._stats.connections, self._messages_per_second()
        self._outbox.send(NODES, bus.Heartbeat(self._id, self._outbox.presence_number, connections, rate))

    def remove_silent(self) -> None:
        """Remove the nodes that missed their heartbeats; call this several times per heartbeat interval."""
        for node, changes in self.remote.remove_silent(self._clock()).items():
            self._report_changes(changes)
            self._received[node] = self._received.pop(node, {})  # becomes the most recently removed
            removed = [id_ for id_ in self._received if id_ not in self.remote]
            for id_ in removed[:-_REMOVED_NODES]:
                del self._received[id_]

    def stop(self) -> None:
        """Tell the other nodes that this node leaves the cluster."""
        self._outbox.send(NODES, bus.Leave(self._id))

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
                    self._request_snapshot(message.node)
                self._report_changes(message.rooms)
            case bus.Snapshot():
                self._report_changes(self.remote.apply_snapshot(message, now))
            case bus.Heartbeat():
                if not self.remote.apply_heartbeat(message, now):
                    self._request_snapshot(message.node)
            case bus.SnapshotRequest():
                self._outbox.send_snapshot(node_subject(message.node))
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
            entries = drop_ephemeral(stats, entries)
        self._receiver.receive_messages(batch.room, entries)

    def _request_snapshot(self, node: str) -> None:
        self._outbox.send(node_subject(node), bus.SnapshotRequest(self._id))

    def _report_changes(self, changes: dict[str, PresenceChange]) -> None:
        for room, is_open in self.remote.take_room_states().items():
            self._receiver.receive_room_state(room, is_open=is_open)
        for room, change in changes.items():
            self._receiver.receive_presence(room, change)
