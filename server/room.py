"""A room: its members, and the outbox that makes a fan-out cheap.

A message is framed once. The frames of one tick of the event loop are joined once and every member gets them in
one write, because a write is a system call: that alone is the difference between 0.1 and 4 million deliveries a
second. Only members who themselves spoke in this tick get a join without their own frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.stats import ServerStats


class Member(Protocol):
    """Whoever can be written to."""

    def write(self, data: bytes, /) -> bool:
        """Take whole frames; return False, never raise, when the transport is gone."""


Entry = tuple[bytes, str, float, "Member | None"]
"""What waits in an outbox: frame, kind, time of receipt, author."""


class Room:
    """Members in the order they came, and what they are to be told at the end of this tick.

    Args:
        name: for the messages and the hub's index.
        stats: deliveries, drops and fan-out histograms are counted here.
        schedule: runs a callback once the reads of this tick are done (`loop.call_soon`).
        clock: monotonic seconds.
    """

    __slots__ = ("_clock", "_outbox", "_schedule", "_stats", "members", "name")

    def __init__(
        self,
        name: str,
        stats: ServerStats,
        schedule: Callable[[Callable[[], None]], object],
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.members: dict[Member, None] = {}
        self._stats = stats
        self._schedule = schedule
        self._clock = clock
        self._outbox: list[Entry] = []

    def __len__(self) -> int:
        return len(self.members)

    @property
    def pending(self) -> bool:
        """Whether something waits for the end of the tick."""
        return bool(self._outbox)

    def add(self, member: Member) -> None:
        """Let a member in; what was said before goes out first, so that a newcomer never sees it."""
        self.flush()
        self.members[member] = None

    def remove(self, member: Member) -> None:
        """Let a member go; what was said before still reaches it.

        Raises:
            KeyError: it is no member.
        """
        self.flush()
        del self.members[member]

    def publish(self, kind: str, frame: bytes, received_at: float, author: Member | None = None) -> None:
        """Put a frame into the outbox for every member but its author.

        Args:
            kind: the message's `type`, to count under.
            frame: complete WebSocket frame.
            received_at: when the message that caused it came in, on `clock`.
            author: a member who does not get it; None: everyone does.
        """
        recipients = len(self.members) if author is None else len(self.members) - 1
        if not self._outbox:
            self._schedule(self.flush)
        self._outbox.append((frame, kind, received_at, author))
        self._stats.messages_delivered[kind] += recipients
        self._stats.fanout_recipients.observe(recipients)

    def flush(self) -> None:
        """Write the outbox to every member; one who cannot be written to stops nobody else's."""
        outbox = self._outbox
        if not outbox:
            return
        self._outbox = []
        if len(outbox) == 1:
            frame, _, _, author = outbox[0]
            for member in self.members:
                if member is not author and not member.write(frame):
                    self._count_undelivered(member, outbox)
        else:
            self._write_joined(outbox)
        observe = self._stats.fanout_duration.observe
        now = self._clock()
        for _, _, received_at, _ in outbox:
            observe(now - received_at)

    def _write_joined(self, outbox: list[Entry]) -> None:
        """Write one join of all frames to everyone, and to authors one without their own."""
        data = b"".join([frame for frame, _, _, _ in outbox])
        own: dict[Member, list[tuple[int, int]]] = {}  # where an author's own frames stand in the join
        start = 0
        for frame, _, _, author in outbox:
            stop = start + len(frame)
            if author is not None:
                own.setdefault(author, []).append((start, stop))
            start = stop
        for member in self.members:
            others = _without(data, own[member]) if member in own else data
            if others and not member.write(others):
                self._count_undelivered(member, outbox)

    def _count_undelivered(self, member: Member, outbox: list[Entry]) -> None:
        """Take back what `publish` counted as delivered to a member whose transport was gone."""
        for _, kind, _, author in outbox:
            if author is not member:
                self._stats.messages_delivered[kind] -= 1
                self._stats.messages_dropped[kind, "closed"] += 1


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
