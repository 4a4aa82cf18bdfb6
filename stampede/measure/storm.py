"""A storm on command: many users cut off at one moment; what it takes until they hear again; pure, times come in.

Each process counts its own part. Parts are cumulative like all reports, so those of all processes add up to one result.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.measure.log_linear_histogram import LogLinearHistogram

if TYPE_CHECKING:
    from stampede.ledger.room import Membership

BIN_NS: Final = 100_000_000
_MOST_BINS: Final = 6000  # ten minutes; who comes back later counts in the last one

SETTLE_NS: Final = 1_000_000_000
"""How long after the last resync the missed messages are counted once more, when stragglers have come."""


class Manner(Enum):
    """How a connection is dropped: cut off, or with a goodbye."""

    ABRUPT = "abrupt"
    POLITE = "polite"


class StormPart(msgspec.Struct):
    """What one process counted of one storm.

    Attributes:
        id: number of the storm in its run.
        at: seconds since the test began.
        users: in their rooms when it struck; of these `dropped`, which took `drop_ns` from the first to the last.
        resync: from the drop until the first delivery, sparse; `slowest` of them, exactly.
        gone: dropped users that were stopped, or dropped again, before they heard anything.
        reconnects: connections per tenth of a second since the drop.
        unaffected: deliveries to the others until all had resynced, from the intended send, sparse.
        missed: messages of room mates that the dropped did not get, on their way to them or sent while they were away.
    """

    id: int
    at: float
    users: int
    dropped: int
    drop_ns: int
    resync: dict[str, Any]
    slowest: int
    gone: int
    reconnects: list[int]
    unaffected: dict[str, Any]
    missed: int


class Storm:
    """One storm in one process.

    Args:
        number: of the storm in its run.
        began: monotonic nanoseconds at which it struck.
        at: the same in seconds since the test began.
        users: in their rooms then.

    Attributes:
        dropped: users it dropped; of these `resynced` hear again, and `gone` will not.
        drop_ns: from the first to the last drop.
        over_at: when the last of them did, monotonic nanoseconds; 0 before.
    """

    __slots__ = (
        "_absences",
        "_at",
        "_began",
        "_missed",
        "_number",
        "_reconnects",
        "_resync",
        "_slowest",
        "_unaffected",
        "_users",
        "drop_ns",
        "dropped",
        "gone",
        "over_at",
        "resynced",
    )

    def __init__(self, number: int, began: int, at: float, users: int) -> None:
        self._number = number
        self._began = began
        self._at = at
        self._users = users
        self._resync = LogLinearHistogram()
        self._unaffected = LogLinearHistogram()
        self._reconnects: list[int] = []
        self._absences: list[tuple[Membership, int]] = []
        self._missed = self._slowest = 0
        self.dropped = self.resynced = self.gone = 0
        self.drop_ns = 0
        self.over_at = 0

    def record_unaffected(self, by_intended: int) -> None:
        """Record the latency of a delivery to a user that this storm did not drop, in ns from its intended send."""
        self._unaffected.record(by_intended)

    def drop(self, now: int) -> None:
        """Count a user that is dropped."""
        self.dropped += 1
        self.drop_ns = now - self._began
        self.over_at = 0  # polite ones go one by one

    def reconnect(self, now: int) -> None:
        """Count a dropped user that is connected again."""
        index = min((now - self._began) // BIN_NS, _MOST_BINS - 1)
        self._reconnects.extend([0] * (index + 1 - len(self._reconnects)))
        self._reconnects[index] += 1

    def resync(self, now: int, ns: int, membership: Membership, before: int) -> None:
        """Count a dropped user that hears again, `ns` after its drop.

        Args:
            now: monotonic nanoseconds.
            ns: since its drop.
            membership: its new one.
            before: what `membership.messages_before` is reduced by to give the messages that were missed.
        """
        self.resynced += 1
        self._resync.record(ns)
        self._slowest = max(self._slowest, ns)
        self._absences.append((membership, before))
        self._missed += membership.messages_before() - before
        self._look(now)

    def lose(self, now: int) -> None:
        """Count a dropped user that will not come back to this storm."""
        self.gone += 1
        self._look(now)

    def _look(self, now: int) -> None:
        if self.resynced + self.gone >= self.dropped:
            self.over_at = now

    def part(self, now: int, *, final: bool = False) -> StormPart:
        """Return what has been counted so far."""
        if self._absences and (final or (self.over_at and now - self.over_at > SETTLE_NS)):
            # What was sent before a join may come after its first delivery: then it was not missed.
            self._missed = sum(membership.messages_before() - before for membership, before in self._absences)
            self._absences.clear()
        return StormPart(
            id=self._number,
            at=self._at,
            users=self._users,
            dropped=self.dropped,
            drop_ns=self.drop_ns,
            resync=self._resync.to_sparse(),
            slowest=self._slowest,
            gone=self.gone,
            reconnects=self._reconnects[:],
            unaffected=self._unaffected.to_sparse(),
            missed=self._missed,
        )
