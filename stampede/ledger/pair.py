"""The counts of the ledger, and the account that one receiver has with one sender; pure.

The laws stand in `stampede.ledger.room`.
"""

from __future__ import annotations


class Tally:
    """Deliveries of one process, counted.

    Attributes:
        expected: owed to somebody, so far as known.
        received: came, each counted once.
        lost: did not come for a whole sweep, or until the end; never goes down.
        duplicated: came although owed to nobody: second copies, own echoes, strays of another room.
        reordered: of the received, those that a later message of their sender had overtaken.
        late: of the lost, those that came after all.
        churned: no longer owed, because one of both ends left with the message in flight.
    """

    __slots__ = ("churned", "duplicated", "expected", "late", "lost", "received", "reordered")

    def __init__(self) -> None:
        self.expected = self.received = self.lost = 0
        self.duplicated = self.reordered = self.late = self.churned = 0

    @property
    def in_flight(self) -> int:
        """Deliveries that may still come."""
        return self.expected - self.received - self.lost


class Pair:
    """What one receiver got from one sender, when it is not simply everything up to some number.

    Attributes:
        base: first number that is owed.
        next: number after the highest one that came.
        missing: numbers below `next` that may still come.
        gone: numbers below `next` that are given up.
        overdue: all from `next` up to here are given up; no meaning below `next`.
    """

    __slots__ = ("base", "gone", "missing", "next", "overdue")

    def __init__(self, base: int, following: int) -> None:
        self.base = base
        self.next = following
        self.overdue = 0
        self.missing: set[int] = set()
        self.gone: set[int] = set()

    @property
    def open(self) -> int:
        """First number of which nothing is known, nor of those after it."""
        return max(self.next, self.overdue)

    @property
    def clean(self) -> bool:
        return not self.missing and not self.gone and self.overdue <= self.next

    def awaits(self, limit: int) -> bool:
        """Return whether something before `limit` may still come."""
        return self.open < limit or any(seq < limit for seq in self.missing)

    def take(self, seq: int, tally: Tally) -> bool:
        """Count a delivery; return whether it was owed, and in time."""
        if seq >= self.next:
            return self._advance(seq, tally)
        if seq in self.missing:
            self.missing.remove(seq)
            tally.received += 1
            tally.reordered += 1
            return True
        if seq in self.gone:
            self.gone.remove(seq)
            tally.late += 1
        elif seq < self.base:
            self._precede(seq, tally)
            return True
        else:
            tally.duplicated += 1
        return False

    def _advance(self, seq: int, tally: Tally) -> bool:
        overdue = self.overdue
        if seq > self.next:
            self.gone.update(range(self.next, min(seq, overdue)))
            self.missing.update(range(self.open, seq))
        self.next = seq + 1
        if seq < overdue:
            tally.late += 1
            return False
        tally.received += 1
        return True

    def _precede(self, seq: int, tally: Tally) -> None:
        """Take a message sent before the receiver was known to be in: it was, so all since then is owed (law 2)."""
        between = self.base - seq - 1
        tally.expected += between + 1
        tally.received += 1
        if self.next == self.base:
            self.next = seq + 1
            if self.overdue > self.base:
                tally.lost += between
        else:
            self.missing.update(range(seq + 1, self.base))
            tally.reordered += 1
        self.base = seq

    def give_up(self, limit: int, tally: Tally) -> None:
        """Call lost what may still come and was sent before `limit`."""
        gone = {seq for seq in self.missing if seq < limit}
        self.missing -= gone
        self.gone |= gone
        tally.lost += len(gone) + max(0, limit - self.open)
        self.overdue = max(self.overdue, limit)
