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


class Room:
    """Members in the order they came, and what they are to be told at the end of this tick.

    Args:
        name: for the messages and the hub's index.
        stats: deliveries, drops and fan-out histograms are counted here.
        schedule: runs a callback once the reads of this tick are done (`loop.call_soon`).
        clock: monotonic seconds.
    """

    __slots__ = (
        "_authors",
        "_clock",
        "_frames",
        "_kinds",
        "_received",
        "_schedule",
        "_size",
        "_stats",
        "members",
        "name",
    )

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
        self._frames: list[bytes] = []
        self._kinds: list[str] = []
        self._received: list[float] = []
        self._size = 0
        self._authors: dict[Member, list[tuple[int, int]]] = {}

    def __len__(self) -> int:
        return len(self.members)

    @property
    def pending(self) -> bool:
        """Whether something waits for the end of the tick."""
        return bool(self._frames)

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
        recipients = len(self.members)
        if author is not None:
            recipients -= 1
            self._authors.setdefault(author, []).append((self._size, self._size + len(frame)))
        if not self._frames:
            self._schedule(self.flush)
        self._frames.append(frame)
        self._kinds.append(kind)
        self._received.append(received_at)
        self._size += len(frame)
        self._stats.messages_delivered[kind] += recipients
        self._stats.fanout_recipients.observe(recipients)

    def flush(self) -> None:
        """Write the outbox to every member; one who cannot be written to stops nobody else's."""
        if not self._frames:
            return
        data = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
        authors = self._authors
        for member in self.members:
            if member in authors:
                others = _without(data, authors[member])
                if others and not member.write(others):
                    self._count_undelivered(member)
            elif not member.write(data):
                self._count_undelivered(member)
        observe = self._stats.fanout_duration.observe
        now = self._clock()
        for received_at in self._received:
            observe(now - received_at)
        self._frames = []
        self._kinds = []
        self._received = []
        self._size = 0
        self._authors = {}

    def _count_undelivered(self, member: Member) -> None:
        """Take back what `publish` counted as delivered to a member whose transport was gone."""
        own = {start for start, _ in self._authors.get(member, ())}
        start = 0
        for kind, frame in zip(self._kinds, self._frames, strict=True):
            if start not in own:
                self._stats.messages_delivered[kind] -= 1
                self._stats.messages_dropped[kind, "closed"] += 1
            start += len(frame)


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
