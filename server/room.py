"""A room: its members, and the outbox that makes a fan-out cheap.

A message is framed once. The frames of one tick of the event loop are joined once and every member gets them in
one write, because a write is a system call: that alone is the difference between 0.1 and 4 million deliveries a
second. Only members who themselves spoke in this tick get a join without their own frames.

The laws of this file:

1. Everyone sees the room's messages in one order, and only those from while they were in.
2. A member sees whole messages or none. One that is behind (`slow`) is not sent what is ephemeral.
3. A member that is gone, or behind, stops nobody else's delivery.
4. A fan-out to very many does not hold the loop: it goes out in slices, and others get their turn between them.

What is called for each recipient or message is taken out of its slot before the call: CPython 3.11 specializes the
reading of a slot, but not a method call that turns out to be one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.stats import ServerStats
    from server.tick import Tick

DIRECT_MEMBERS: Final = 2
"""In rooms up to this size a message that comes alone is written at once: each member hears one other only, so there is
nothing to join it with, and the end of the tick would cost more than all the rest."""

SLICE_MEMBERS: Final = 512
"""Rooms above this size are flushed in slices."""

SLICE_SECONDS: Final = 0.004
"""How long one slice may hold the loop."""

EPHEMERAL: Final = frozenset({"userTyping", "userJoined", "userLeft", "roomPresence"})
"""What a member that is behind can do without."""

SLOW: Final = "slow"
CLOSED: Final = "closed"


class Member(Protocol):
    """Whoever can be written to. Both methods return why they did not write: SLOW, CLOSED, or nothing if they did."""

    def write(self, data: bytes, /) -> str:
        """Take whole frames, unless this member is behind or gone."""

    def push(self, data: bytes, /) -> str:
        """Take whole frames even when behind, up to a limit at which the member is given up."""


Entry = tuple[bytes, str, float, "Member | None"]
"""What waits in an outbox: frame, kind, time of receipt, author."""


class Batch:
    """The frames of one tick on their way to those who were members then."""

    __slots__ = ("_data", "_own", "entries", "pending")

    def __init__(self, entries: list[Entry], members: dict[Member, None]) -> None:
        self.entries = entries
        self.pending = members
        self._data = b"".join([frame for frame, _, _, _ in entries])
        self._own: dict[Member, list[tuple[int, int]]] = {}  # where an author's own frames stand in the join
        start = 0
        for frame, _, _, author in entries:
            stop = start + len(frame)
            if author is not None:
                self._own.setdefault(author, []).append((start, stop))
            start = stop

    def data_for(self, member: Member) -> bytes:
        """Return what a member is to get: everything but its own."""
        own = self._own.get(member)
        return self._data if own is None else _without(self._data, own)


class Room:
    """Members in the order they came, and what they are to be told at the end of this tick.

    Args:
        name: for the messages and the hub's index.
        stats: deliveries, drops and fan-out histograms are counted here.
        tick: at its end the outbox is flushed.
        clock: monotonic seconds.
    """

    __slots__ = (
        "_batches",
        "_clock",
        "_is_going",
        "_outbox",
        "_stats",
        "_tick",
        "joined",
        "left",
        "members",
        "name",
    )

    def __init__(
        self,
        name: str,
        stats: ServerStats,
        tick: Tick,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.members: dict[Member, None] = {}
        self.joined = self.left = 0  # comings and goings that the room is still to be told of, in one notice
        self._stats = stats
        self._tick = tick
        self._clock = clock
        self._outbox: list[Entry] = []
        self._batches: deque[Batch] = deque()  # of a large room, oldest first
        self._is_going = False  # whether the next slice is scheduled

    def __len__(self) -> int:
        return len(self.members)

    @property
    def pending(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._outbox or self._batches)

    @property
    def _is_small(self) -> bool:
        """Whether the outbox can go out in one go, with nothing before it."""
        return len(self.members) <= SLICE_MEMBERS and not self._batches

    def add(self, member: Member) -> None:
        """Let a member in; what was said before does not reach it."""
        if self._outbox:
            if self._is_small:
                self._flush_at_once()
            else:
                self._cut()
        self.members[member] = None

    def remove(self, member: Member) -> None:
        """Let a member go; what was said before still reaches it.

        Raises:
            KeyError: it is no member.
        """
        if not self._is_small:
            self.catch_up(member)
        elif self._outbox:
            # To this one alone: many may go in one tick, and the others get what that brings in one write.
            self._deliver(Batch(self._outbox, {}), member)
        del self.members[member]

    def publish(self, kind: str, frame: bytes, received_at: float, author: Member | None = None) -> None:
        """Put a frame into the outbox for every member but its author.

        Args:
            kind: the message's `type`, to count under.
            frame: complete WebSocket frame.
            received_at: when the message that caused it came in, on `clock`.
            author: a member who does not get it; None: everyone does.
        """
        members = self.members
        recipients = len(members) if author is None else len(members) - 1
        self._stats.messages_delivered[kind] += recipients
        self._stats.fanout_recipients.seen[recipients] += 1
        if len(members) <= DIRECT_MEMBERS and not (self._outbox or self._batches or self._tick.is_crowded):
            for member in members:
                if member is not author:
                    write = member.write
                    if trouble := write(frame):
                        self._deliver_in_trouble([(frame, kind, received_at, author)], frame, member, trouble)
            clock = self._clock
            self._stats.fanout_duration.observe(clock() - received_at)
            return
        if not self._outbox:
            self._tick.at_end(self.flush)
        self._outbox.append((frame, kind, received_at, author))

    def flush(self) -> None:
        """Write the outbox to every member, or begin to; what comes while that goes on is joined and goes next."""
        if not self._is_small:
            if not self._is_going:
                self._go_on()
        elif self._outbox:
            self._flush_at_once()

    def catch_up(self, member: Member) -> None:
        """Write at once whatever waits for one member, in order."""
        if self._is_small:
            if self._outbox:
                self._flush_at_once()
            return
        self._cut()
        for batch in self._batches:
            if member in batch.pending:
                del batch.pending[member]
                self._deliver(batch, member)

    def _flush_at_once(self) -> None:
        outbox = self._outbox
        self._outbox = []
        data, _, _, author = outbox[0]
        # As in a small room, and in a quiet one: nobody needs a join of its own.
        if len(outbox) == 1 or len({author for _, _, _, author in outbox}) == 1:
            if len(outbox) > 1:
                data = b"".join([frame for frame, _, _, _ in outbox])
            for member in self.members:
                if member is not author:
                    write = member.write
                    if trouble := write(data):
                        self._deliver_in_trouble(outbox, data, member, trouble)
        else:
            batch = Batch(outbox, self.members)
            for member in self.members:
                self._deliver(batch, member)
        self._observe(outbox)

    def _cut(self) -> None:
        """Fix who gets what is in the outbox: those who are in now."""
        if self._outbox:
            self._batches.append(Batch(self._outbox, dict(self.members)))
            self._outbox = []

    def _go_on(self) -> None:
        """Deliver for as long as a slice may take, then let others have their turn."""
        self._is_going = False
        deadline = self._clock() + SLICE_SECONDS
        while self._batches or self._outbox:
            if not self._batches:
                self._cut()
            batch = self._batches[0]
            while batch.pending:
                for _ in range(min(32, len(batch.pending))):  # the clock costs as much as a fraction of a write
                    self._deliver(batch, batch.pending.popitem()[0])
                if batch.pending and self._clock() >= deadline:
                    self._is_going = True
                    self._tick.at_end(self._go_on)
                    return
            self._observe(batch.entries)
            self._batches.popleft()

    def _deliver(self, batch: Batch, member: Member) -> None:
        data = batch.data_for(member)
        write = member.write
        if data and (trouble := write(data)):
            self._deliver_in_trouble(batch.entries, data, member, trouble)

    def _deliver_in_trouble(self, entries: list[Entry], data: bytes, member: Member, trouble: str) -> None:
        """Give a member that is behind what it cannot do without, and count what it, or one that is gone, missed."""
        if trouble == SLOW and EPHEMERAL.isdisjoint([kind for _, kind, _, _ in entries]):
            if worse := member.push(data):  # the common case has to be cheap: many may be behind at once
                self._count_missed([entry for entry in entries if entry[3] is not member], worse)
            return
        missed = [entry for entry in entries if entry[3] is not member]
        if trouble == SLOW:
            kept = [entry for entry in missed if entry[1] not in EPHEMERAL]
            missed = [entry for entry in missed if entry[1] in EPHEMERAL]
            if kept and (worse := member.push(b"".join([frame for frame, _, _, _ in kept]))):
                self._count_missed(kept, worse)
        self._count_missed(missed, trouble)

    def _count_missed(self, entries: list[Entry], reason: str) -> None:
        """Take back what `publish` counted as delivered."""
        for _, kind, _, _ in entries:
            self._stats.messages_delivered[kind] -= 1
            self._stats.messages_dropped[kind, reason] += 1

    def _observe(self, entries: list[Entry]) -> None:
        observe = self._stats.fanout_duration.observe
        now = self._clock()
        first = entries[0][2]
        if first == entries[-1][2]:  # all came in one read
            observe(now - first, len(entries))
            return
        for _, _, received_at, _ in entries:
            observe(now - received_at)


def _without(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    """Return data without the given ascending spans."""
    if len(spans) == 1:
        [(start, stop)] = spans
        return data[:start] + data[stop:]
    kept = []
    position = 0
    for start, stop in spans:
        kept.append(data[position:start])
        position = stop
    kept.append(data[position:])
    return b"".join(kept)
