"""A room: its members, and the outbox that makes a fan-out cheap.

A message is framed once. The frames of one tick of the event loop are joined once and every member gets them in
one write, because a write is a system call: that alone is the difference between 0.1 and 4 million deliveries a
second. Only members who themselves spoke in this tick get a join without their own frames.

The laws of this file:

1. Everyone sees the room's messages in one order, and only those from while they were in.
2. A member sees whole messages or none. One that is behind (`slow`) is not sent what is ephemeral.
3. A member that is gone, or behind, stops nobody else's delivery.
4. A fan-out to very many does not hold the loop: it goes out in slices, and others get their turn between them.
5. A member that comes, leaves or is answered in mid-tick costs a write to that member, not one to every member.
6. A delivery is counted when it is written, so no counter is ever taken back.

What is called for each recipient or message is taken out of its slot before the call: CPython 3.11 specializes the
reading of a slot, but not a method call that turns out to be one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.batching import Tick
    from server.stats import ServerStats

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

    def enqueue(self, data: bytes, /) -> str:
        """Take whole frames even when behind, up to a limit at which the member is given up."""


Entry = tuple[bytes, str, float, "Member | None"]
"""What waits in an outbox: frame, kind, time of receipt, author."""


class Batch:
    """The frames of one tick on their way to those who were members then.

    Args:
        entries: what is delivered.
        members: those who get it.
        ahead: of the members that already have the first entries, how many.

    Attributes:
        pending: members that have not got theirs.
        missed: kinds of the messages that could not be delivered, one for each.
    """

    __slots__ = ("_ahead", "_data", "_left_out", "entries", "missed", "pending")

    def __init__(self, entries: list[Entry], members: dict[Member, None], ahead: dict[Member, int]) -> None:
        self.entries = entries
        self.pending = members
        self.missed: list[str] = []
        self._ahead = ahead
        self._data = b"".join([frame for frame, _, _, _ in entries])
        self._left_out: dict[Member, list[tuple[int, int]]] = {}  # spans of the data that a member does not get
        if ahead:
            starts = list(accumulate([len(frame) for frame, _, _, _ in entries], initial=0))
            self._left_out = {member: [(0, starts[count])] for member, count in ahead.items()}
        start = 0
        for number, (frame, _, _, author) in enumerate(entries):
            stop = start + len(frame)
            if author is not None and (not ahead or number >= ahead.get(author, 0)):
                self._left_out.setdefault(author, []).append((start, stop))
            start = stop

    def data_for(self, member: Member) -> bytes:
        """Return what a member is to get: everything but its own, and what it has already."""
        left_out = self._left_out.get(member)
        return self._data if left_out is None else _without(self._data, left_out)

    def entries_for(self, member: Member) -> list[Entry]:
        """Return the entries that a member is to get."""
        return [entry for entry in self.entries[self._ahead.get(member, 0) :] if entry[3] is not member]

    def recipients(self, members: dict[Member, None]) -> list[int]:
        """Return how many of the members get each entry."""
        ahead = self._ahead
        served = sorted(ahead.values())
        return [
            len(members)
            - (len(served) - bisect_right(served, number))
            - (author in members and number >= ahead.get(author, 0))
            for number, (_, _, _, author) in enumerate(self.entries)
        ]


class Room:
    """Members in the order they came, and what they are to be told at the end of this tick.

    Args:
        name: as members are told of it.
        key: its name in normal form, under which it is known here and on other nodes.
        stats: deliveries, drops and fan-out histograms are counted here.
        tick: at its end the outbox is flushed.
        clock: monotonic seconds.
    """

    __slots__ = (
        "_ahead",
        "_batch",
        "_clock",
        "_is_going",
        "_outbox",
        "_owed",
        "_stats",
        "_tick",
        "joined",
        "key",
        "left",
        "members",
        "name",
    )

    def __init__(
        self,
        name: str,
        key: str,
        stats: ServerStats,
        tick: Tick,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.key = key
        self.members: dict[Member, None] = {}
        self.joined = self.left = 0  # comings and goings that the room is still to be told of, in one notice
        self._stats = stats
        self._tick = tick
        self._clock = clock
        self._outbox: list[Entry] = []
        self._ahead: dict[Member, int] = {}  # members that need not get the first entries of the outbox, and how many
        self._batch: Batch | None = None  # of a large room, under way in slices; the outbox follows it
        self._owed: list[int] = []  # deliveries of each of its entries
        self._is_going = False  # whether the next slice is scheduled

    def __len__(self) -> int:
        return len(self.members)

    @property
    def pending(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._outbox) or self._batch is not None

    def add(self, member: Member) -> None:
        """Let a member in; what was said before does not reach it."""
        if self._outbox:
            self._ahead[member] = len(self._outbox)
        self.members[member] = None

    def remove(self, member: Member) -> None:
        """Let a member go; what was said before still reaches it.

        Raises:
            KeyError: it is no member.
        """
        self.catch_up(member)
        del self.members[member]
        self._ahead.pop(member, None)

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
        self._stats.fanout_recipients.seen[recipients] += 1
        if len(members) <= DIRECT_MEMBERS and not (self._outbox or self._batch or self._tick.is_crowded):
            for member in members:
                if member is not author:
                    write = member.write
                    if trouble := write(frame):
                        entry = (frame, kind, received_at, author)
                        recipients -= len(self._deliver_in_trouble([entry], frame, member, trouble))
            self._stats.messages_delivered[kind] += recipients
            clock = self._clock
            self._stats.fanout_duration.observe(clock() - received_at)
            return
        if not self._outbox:
            self._tick.at_end(self.flush)
        self._outbox.append((frame, kind, received_at, author))

    def flush(self) -> None:
        """Write the outbox to every member, or begin to; what comes while that goes on is joined and goes next."""
        if self._batch is not None or len(self.members) > SLICE_MEMBERS:
            if not self._is_going:
                self._go_on()
        elif self._outbox:
            self._flush_at_once()

    def catch_up(self, member: Member) -> None:
        """Write at once what waits for one member, in order; the others get it when the room is flushed."""
        batch = self._batch
        if batch is not None and member in batch.pending:
            del batch.pending[member]
            self._deliver(batch, member)
        outbox = self._outbox
        if not outbox or member not in self.members:
            return
        start = self._ahead.get(member, 0)
        self._ahead[member] = len(outbox)
        entries = [entry for entry in outbox[start:] if entry[3] is not member]
        if entries:
            data = b"".join([frame for frame, _, _, _ in entries])
            trouble = member.write(data)
            missed = self._deliver_in_trouble(entries, data, member, trouble) if trouble else []
            self._count_delivered(entries, [1] * len(entries), missed)

    def _flush_at_once(self) -> None:
        outbox, ahead, members = self._outbox, self._ahead, self.members
        self._outbox = []
        data, _, _, author = outbox[0]
        missed: list[str] = []
        if ahead or (len(outbox) > 1 and len({author for _, _, _, author in outbox}) > 1):
            self._ahead = {}
            batch = Batch(outbox, members, ahead)
            for member in members:
                self._deliver(batch, member)
            missed = batch.missed
        else:  # as in a small room, and in a quiet one: nobody needs a join of its own
            if len(outbox) > 1:
                data = b"".join([frame for frame, _, _, _ in outbox])
            for member in members:
                if member is not author:
                    write = member.write
                    if trouble := write(data):
                        missed += self._deliver_in_trouble(outbox, data, member, trouble)
        if ahead:
            self._count_delivered(outbox, batch.recipients(members), missed)
        elif missed:
            self._count_delivered(outbox, [len(members) - (entry[3] in members) for entry in outbox], missed)
        else:
            for _, kind, _, author in outbox:
                self._stats.messages_delivered[kind] += len(members) - (author in members)
        self._observe(outbox)

    def _go_on(self) -> None:
        """Deliver for as long as a slice may take, then let others have their turn."""
        self._is_going = False
        deadline = self._clock() + SLICE_SECONDS
        while self._batch is not None or self._outbox:
            batch = self._batch
            if batch is None:
                batch = self._batch = Batch(self._outbox, dict(self.members), self._ahead)
                self._owed = batch.recipients(self.members)
                self._outbox, self._ahead = [], {}
            while batch.pending:
                for _ in range(min(32, len(batch.pending))):  # the clock costs as much as a fraction of a write
                    self._deliver(batch, batch.pending.popitem()[0])
                if batch.pending and self._clock() >= deadline:
                    self._is_going = True
                    self._tick.at_end(self._go_on)
                    return
            self._batch = None
            self._count_delivered(batch.entries, self._owed, batch.missed)
            self._observe(batch.entries)

    def _deliver(self, batch: Batch, member: Member) -> None:
        data = batch.data_for(member)
        write = member.write
        if data and (trouble := write(data)):
            batch.missed += self._deliver_in_trouble(batch.entries_for(member), data, member, trouble)

    def _deliver_in_trouble(self, entries: list[Entry], data: bytes, member: Member, trouble: str) -> list[str]:
        """Give a member that is behind what it cannot do without; count what it, or one that is gone, does not get.

        Args:
            entries: what the member is owed.
            data: their frames.
            member: that did not take them.
            trouble: why not.

        Returns:
            The kinds of the messages that were dropped, one for each.
        """
        kinds = [kind for _, kind, _, _ in entries]
        if trouble == SLOW and EPHEMERAL.isdisjoint(kinds):
            trouble = member.enqueue(data)  # the common case has to be cheap: many may be behind at once
            return self._count_dropped(kinds, trouble) if trouble else []
        missed = []
        if trouble == SLOW:
            kept = [entry for entry in entries if entry[1] not in EPHEMERAL]
            kinds = [kind for kind in kinds if kind in EPHEMERAL]
            if kept and (worse := member.enqueue(b"".join([frame for frame, _, _, _ in kept]))):
                missed = self._count_dropped([kind for _, kind, _, _ in kept], worse)
        return missed + self._count_dropped(kinds, trouble)

    def _count_dropped(self, kinds: list[str], reason: str) -> list[str]:
        for kind in kinds:
            self._stats.messages_dropped[kind, reason] += 1
        return kinds

    def _count_delivered(self, entries: list[Entry], recipients: list[int], missed: list[str]) -> None:
        """Count the deliveries of each entry, less those that were missed."""
        delivered = self._stats.messages_delivered
        left = Counter(missed) if missed else {}
        for (_, kind, _, _), count in zip(entries, recipients, strict=True):
            dropped = min(count, left.get(kind, 0)) if left else 0
            if dropped:
                left[kind] -= dropped
            delivered[kind] += count - dropped

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
