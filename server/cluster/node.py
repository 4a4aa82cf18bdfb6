"""This server process as one node among others: what its clients do goes out on the bus, what others' do comes in.

Local members are served at once, without the detour. Over the bus a room's frames of one tick are one message, heard by
the nodes that have members in rooms of the same slot. The bus delivers at most once, each node's messages in their
order; what is lost shows in the numbering and is counted. What cannot be sent is dropped, the ephemeral first, and
counted.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from server.chat.relay import Change
from server.chat.room import EPHEMERAL
from server.cluster import messages as bus
from server.cluster.membership import Elsewhere
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
    from collections.abc import Callable, Sequence

    from server.chat.batching import Tick
    from server.chat.hub import Hub
    from server.stats import ServerStats

SOFT_BACKLOG: Final = 1024 * 1024
"""Unsent bytes above which nothing ephemeral is sent."""

HARD_BACKLOG: Final = 8 * 1024 * 1024
"""Unsent bytes above which nothing is."""

LATE_SECONDS: Final = 1.0
"""Time that messages wait on their way in above which this node is too slow for them: nothing ephemeral is taken."""

_GONE_NODES: Final = 64
"""Nodes that fell silent of which it is remembered how far they were heard: they may only be cut off."""

_ENTRY_BYTES: Final = 64
"""What a frame takes in a message beside its bytes, at most: its kind, and where both end."""

_HEAD_BYTES: Final = 1024
"""What a message takes beside its items, at most: ids, numbers, the name of a room."""


Entry = tuple[str, bytes]
"""Kind of a message, and its frame."""


class Link(Protocol):
    """The way to the bus."""

    @property
    def max_payload(self) -> int:
        """Bytes that one message may have."""

    @property
    def is_connected(self) -> bool: ...

    @property
    def delay(self) -> float:
        """Seconds that messages wait on their way in."""

    @property
    def backlog(self) -> int:
        """Bytes that wait to be sent."""

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send messages, each a subject and a payload."""

    def subscribe(self, subject: str) -> None: ...

    def once_subscribed(self, subject: str, callback: Callable[[], None]) -> None: ...

    def unsubscribe(self, subject: str) -> None: ...


class Node:
    """One node: the hub's relay, and the bus' receiver.

    Args:
        id_: new at each start.
        link: the way to the bus; it hands what it hears to `take`.
        hub: whose relay this is.
        stats: traffic, losses and lag are counted here.
        tick: what happened in it goes out at its end.
        clock: monotonic seconds.
        wall_ms: wall clock in milliseconds; between hosts the lag is as exact as their clocks agree.
        messages_per_second: what this node receives, for the status pages of the others.
    """

    def __init__(
        self,
        id_: str,
        link: Link,
        hub: Hub,
        stats: ServerStats,
        *,
        tick: Tick,
        clock: Callable[[], float],
        wall_ms: Callable[[], float],
        messages_per_second: Callable[[], float],
    ) -> None:
        self._id = id_
        self._link = link
        self._hub = hub
        self._stats = stats
        self._tick = tick
        self._clock = clock
        self._wall_ms = wall_ms
        self._messages_per_second = messages_per_second
        self.others = Elsewhere(clock())
        self._frames: dict[str, list[Entry]] = {}  # of this tick, by room
        self._changes: dict[str, Change] = {}  # of this tick, by room
        self._presence_number = 0
        self._sent: Counter[str] = Counter()  # frames so far, by subject
        self._heard: dict[str, dict[str, int]] = {}  # frames so far, by node and subject
        self._rooms_of: Counter[int] = Counter()  # rooms with members here, by slot
        self._is_waking = False  # whether the end of this tick is asked for

    # --- the hub's relay ---

    def forward(self, room: str, kind: str, frame: bytes) -> None:
        """Pass a message on at the end of the tick."""
        entries = self._frames.get(room)
        if entries is not None:
            entries.append((kind, frame))
            return
        self._frames[room] = [(kind, frame)]
        self._wake()

    def came(self, room: str, user: str | None, *, by_name: bool) -> None:
        """Tell at the end of the tick that somebody joined here."""
        change = self._change(room)
        self._changes[room] = msgspec.structs.replace(
            change, came=change.came + 1, joined=[*change.joined, user] if by_name else []
        )

    def went(self, room: str, user: str | None, *, by_name: bool) -> None:
        """Tell at the end of the tick that somebody left here."""
        change = self._change(room)
        self._changes[room] = msgspec.structs.replace(
            change, went=change.went + 1, left=[*change.left, user] if by_name else []
        )

    def opened(self, room: str) -> None:
        """Hear a room's slot from its first local member on."""
        slot = slot_of(room)
        self._rooms_of[slot] += 1
        if self._rooms_of[slot] == 1:
            self._link.subscribe(slot_subject(slot))

    def once_heard(self, room: str, callback: Callable[[], None]) -> None:
        """Call back when the bus has taken note of the subscription to a room's slot."""
        self._link.once_subscribed(slot_subject(slot_of(room)), callback)

    def closed(self, room: str) -> None:
        """Hear a slot no longer once no room of it has members here."""
        slot = slot_of(room)
        self._rooms_of[slot] -= 1
        if not self._rooms_of[slot]:
            subject = slot_subject(slot)
            self._link.unsubscribe(subject)
            for numbers in self._heard.values():
                numbers.pop(subject, None)

    def elsewhere(self, room: str) -> int:
        """Return how many members a room has on other nodes."""
        return self.others.members(room)

    # --- out ---

    def begin(self) -> None:
        """Listen, and make oneself known."""
        for subject in (NODES, node_subject(self._id), EVERYONE_SUBJECT, WATCHERS_SUBJECT):
            self._link.subscribe(subject)
        self.resynchronise()

    def resynchronise(self) -> None:
        """Ask who else is there, and say who is here: at the start, and when the bus was away."""
        self._send(NODES, bus.Ask(self._id))
        self._send_snapshot(NODES)

    def beat(self) -> None:
        """Say that this node is there; call once a beat."""
        connections = self._stats.connections
        self._send(NODES, bus.Beat(self._id, self._presence_number, connections, self._messages_per_second()))

    def forget_silent(self) -> None:
        """Forget the nodes that no longer say that they are there; call several times a beat."""
        for node, changes in self.others.forget_silent(self._clock()).items():
            self._tell_changes(changes)
            self._heard[node] = self._heard.pop(node, {})  # the last of the gone
            gone = [id_ for id_ in self._heard if id_ not in self.others]
            for id_ in gone[:-_GONE_NODES]:
                del self._heard[id_]

    def end(self) -> None:
        """Take leave of the others."""
        self._send(NODES, bus.Bye(self._id))

    def _change(self, room: str) -> Change:
        self._wake()
        return self._changes.get(room) or Change(0, 0, 0, [], [])

    def _wake(self) -> None:
        if not self._is_waking:
            self._is_waking = True
            self._tick.at_end(self._flush)

    def _flush(self) -> None:
        """Send what happened in this tick."""
        self._is_waking = False
        changes, self._changes = self._changes, {}
        frames, self._frames = self._frames, {}
        messages = self._presences(changes) if changes else []
        if frames:
            keep = self._policy()
            for room, entries in frames.items():
                messages += self._batches(room, keep(entries))
        self._publish(messages)

    @property
    def _most(self) -> int:
        """Bytes that the items of one message may take."""
        return self._link.max_payload - _HEAD_BYTES

    def _presences(self, changes: dict[str, Change]) -> list[tuple[str, bytes]]:
        """Return the changes of a tick in as few messages as their size allows, each with a number of its own."""
        if not self._link.is_connected:
            self._presence_number += 1  # the others notice the gap
            return []
        most = self._most
        rooms = [(room, self._told(room, change, most)) for room, change in changes.items()]
        messages = []
        for part in bus.divide(rooms, lambda item: bus.text_bytes(item[0]) + bus.change_bytes(item[1]), most):
            self._presence_number += 1
            messages.append((NODES, bus.encode(bus.Presence(self._id, self._presence_number, dict(part)))))
        return messages

    def _told(self, room: str, change: Change, most: int) -> Change:
        """Return a change as it is sent: with the members of now, and without names where these take too much."""
        members = self._members_here(room)
        if bus.text_bytes(room) + bus.change_bytes(change) > most:
            return msgspec.structs.replace(change, members=members, joined=[], left=[])
        return msgspec.structs.replace(change, members=members)

    def _batches(self, room: str, entries: list[Entry]) -> list[tuple[str, bytes]]:
        """Return a room's frames in as few messages as their size allows; one too large for any is dropped."""
        subject = subject_of(room)
        most = self._most
        if sum([len(frame) for _, frame in entries]) + _ENTRY_BYTES * len(entries) <= most:  # nearly always
            return [(subject, self._batch(subject, room, entries))] if entries else []
        messages = []
        for part in bus.divide(entries, _entry_bytes, most):
            if len(part) == 1 and _entry_bytes(part[0]) > most:
                self._stats.bus_dropped["too_large"] += 1
            else:
                messages.append((subject, self._batch(subject, room, part)))
        return messages

    def _batch(self, subject: str, room: str, entries: list[Entry]) -> bytes:
        number = self._sent[subject]
        self._sent[subject] = number + len(entries)
        return bus.encode(bus.Batch(self._id, self._wall_ms(), room, number, entries))

    def _policy(self) -> Callable[[list[Entry]], list[Entry]]:
        """Return what keeps of frames those that the bus can take now, and counts the others."""
        if not self._link.is_connected:
            return partial(self._keep_none, "disconnected")
        backlog = self._link.backlog
        if backlog > HARD_BACKLOG:
            return partial(self._keep_none, "backlog")
        return list if backlog <= SOFT_BACKLOG else self._without_the_ephemeral

    def _keep_none(self, reason: str, entries: list[Entry]) -> list[Entry]:
        self._stats.bus_dropped[reason] += len(entries)
        return []

    def _without_the_ephemeral(self, entries: list[Entry]) -> list[Entry]:
        kept = [entry for entry in entries if entry[0] not in EPHEMERAL]
        self._stats.bus_dropped["ephemeral"] += len(entries) - len(kept)
        return kept

    def _send_snapshot(self, subject: str) -> None:
        """Send all members here in as few messages as their size allows."""
        members = [(room, len(here)) for room, here in self._hub.rooms.items()]
        parts = bus.divide(members, lambda item: bus.text_bytes(item[0]), self._most) or [[]]
        for number, part in enumerate(parts):
            self._send(subject, bus.Snapshot(self._id, self._presence_number, number, len(parts), dict(part)))

    def _send(self, subject: str, message: bus.BusMessage) -> None:
        if self._link.is_connected:
            self._publish([(subject, bus.encode(message))])

    def _publish(self, messages: list[tuple[str, bytes]]) -> None:
        if messages:
            self._stats.bus_messages["sent"] += len(messages)
            self._link.publish(messages)

    def _members_here(self, room: str) -> int:
        here = self._hub.rooms.get(room)
        return 0 if here is None else len(here)

    # --- in ---

    def take(self, subject: str, payload: bytes) -> None:
        """Take a message off the bus.

        Raises:
            msgspec.DecodeError: it is none of ours.
        """
        message = bus.decode(payload)
        self._stats.bus_messages["received"] += 1
        if message.node == self._id:
            return  # said on a connection that was given up; the bus keeps back only what comes from the present one
        if type(message) is bus.Batch:
            self._take_batch(subject, message)
            return
        now = self._clock()
        match message:
            case bus.Presence():
                if self.others.is_late(message):
                    return
                if not self.others.take_presence(message, now):
                    self._send(node_subject(message.node), bus.Ask(self._id))
                self._tell_changes(message.rooms)
            case bus.Snapshot():
                self._tell_changes(self.others.take_snapshot(message, now))
            case bus.Beat():
                if not self.others.take_beat(message, now):
                    self._send(node_subject(message.node), bus.Ask(self._id))
            case bus.Ask():
                self._send_snapshot(node_subject(message.node))
            case bus.Bye():
                self._tell_changes(self.others.forget(message.node))
                self._heard.pop(message.node, None)

    def _take_batch(self, subject: str, batch: bus.Batch) -> None:
        heard = self._heard.setdefault(batch.node, {})
        number, entries = batch.number, batch.entries
        missed = number - heard.get(subject, number)
        if missed < 0:
            return  # late, from a connection that its node has given up: out of its turn, and counted as lost
        stats = self._stats
        if missed:
            stats.bus_dropped["lost"] += missed
        heard[subject] = number + len(entries)
        stats.bus_lag.observe(max(0.0, (self._wall_ms() - batch.sent_ms) / 1000))
        if self._link.delay > LATE_SECONDS:
            entries = self._without_the_ephemeral(entries)
        self._hub.hear(batch.room, entries)

    def _tell_changes(self, changes: dict[str, Change]) -> None:
        for room, is_open in self.others.take_turned().items():
            self._hub.hear_room(room, is_open=is_open)
        for room, change in changes.items():
            self._hub.hear_presence(room, change)


def _entry_bytes(entry: Entry) -> int:
    return _ENTRY_BYTES + len(entry[1])
