"""The account of one receiver for one sender; pure.

`stampede.ledger.room` states the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stampede.ledger.counts import DeliveryCounts


class PairLedger:
    """The deliveries from one sender to one receiver, if a single number cannot describe them.

    Attributes:
        base: the first sequence number that is owed.
        next: the number after the highest one received.
        missing: numbers below `next` that may still arrive.
        lost: numbers below `next` that are given up.
        lost_until: all numbers from `next` up to this one are given up; meaningless when below `next`.
    """

    __slots__ = ("base", "lost", "lost_until", "missing", "next")

    def __init__(self, base: int, following: int) -> None:
        self.base = base
        self.next = following
        self.lost_until = 0
        self.missing: set[int] = set()
        self.lost: set[int] = set()

    @property
    def unknown_from(self) -> int:
        """The first number that is neither received, missing nor lost; the same holds for all above it."""
        return max(self.next, self.lost_until)

    @property
    def is_regular(self) -> bool:
        """Whether `base` and `next` describe the account completely."""
        return not self.missing and not self.lost and self.lost_until <= self.next

    def awaits(self, limit: int) -> bool:
        """Return whether a message before `limit` may still arrive."""
        return self.unknown_from < limit or any(seq < limit for seq in self.missing)

    def receive(self, seq: int, counts: DeliveryCounts) -> bool:
        """Count an arrival; return whether it was owed and in time."""
        if seq >= self.next:
            return self._receive_next(seq, counts)
        if seq in self.missing:
            self.missing.remove(seq)
            counts.received += 1
            counts.reordered += 1
            return True
        if seq in self.lost:
            self.lost.remove(seq)
            counts.late += 1
        elif seq < self.base:
            self._receive_before_base(seq, counts)
            return True
        else:
            counts.duplicated += 1
        return False

    def _receive_next(self, seq: int, counts: DeliveryCounts) -> bool:
        lost_until = self.lost_until
        if seq > self.next:
            self.lost.update(range(self.next, min(seq, lost_until)))
            self.missing.update(range(self.unknown_from, seq))
        self.next = seq + 1
        if seq < lost_until:
            counts.late += 1
            return False
        counts.received += 1
        return True

    def _receive_before_base(self, seq: int, counts: DeliveryCounts) -> None:
        """Count a message sent before the join was confirmed: the receiver was in the room already (rule 2)."""
        between = self.base - seq - 1
        counts.expected += between + 1
        counts.received += 1
        if self.next == self.base:
            self.next = seq + 1
            if self.lost_until > self.base:
                counts.lost += between
        else:
            self.missing.update(range(seq + 1, self.base))
            counts.reordered += 1
        self.base = seq

    def give_up(self, limit: int, counts: DeliveryCounts) -> None:
        """Count everything sent before `limit` that has not arrived as lost."""
        lost = {seq for seq in self.missing if seq < limit}
        self.missing -= lost
        self.lost |= lost
        counts.lost += len(lost) + max(0, limit - self.unknown_from)
        self.lost_until = max(self.lost_until, limit)
