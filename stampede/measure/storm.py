"""A storm on command: many users are dropped at one moment, and reconnect; pure, the times are arguments.

Each process counts its own part. A part is cumulative, as a report is, so the parts of all processes add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from stampede.measure.log_linear_histogram import LogLinearHistogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.ledger.membership import Membership

BIN_NS: Final = 100_000_000
_MAX_BINS: Final = 18_000  # half an hour; later reconnects count in the last bin

SETTLE_NS: Final = 1_000_000_000
"""How long after the last resync the missed messages are counted again, since some may still arrive."""


class Manner(Enum):
    """How a connection is dropped: by a TCP reset, or by a close handshake."""

    ABRUPT = "abrupt"
    POLITE = "polite"


@dataclass(slots=True, kw_only=True)
class WatchPart:
    """The lost connections of one watch in one process.

    Attributes:
        is_ended: whether the watch has ended: then no further user counts as dropped.
        lost: connections that the server closed or that failed, per tenth of a second since the watch began.
        causes: the same by label.
        first_ns, last_ns: time from the start of the watch to the first and to the last of them.
    """

    is_ended: bool
    lost: list[int]
    causes: dict[str, int]
    first_ns: int | None
    last_ns: int | None


@dataclass(slots=True, kw_only=True)
class StormPart:
    """The figures of one storm in one process.

    Attributes:
        id: number of the storm in its run.
        at: seconds since the test began.
        users: users in their rooms when the storm began.
        dropped: users that were dropped; `drop_ns` is the time from the first drop to the last.
        outages: times from a drop until a resync; in a watch, a user may have several.
        resync: time from the drop to the first delivery; `slowest` is the exact maximum.
        abandoned: dropped users that were stopped, or dropped again, before a delivery.
        reconnects: connections per tenth of a second since the storm began.
        unaffected: latency, from the intended send, of deliveries to the other users until all had resynced.
        missed: messages of room mates that the dropped users did not get: in flight at the drop, or sent before the
            join.
        watch: the lost connections, if the storm is a watch.
    """

    id: int
    at: float
    users: int
    dropped: int
    outages: int
    drop_ns: int
    resync: LogLinearHistogram
    slowest: int
    abandoned: int
    reconnects: list[int]
    unaffected: LogLinearHistogram
    missed: int
    watch: WatchPart | None = None


class Storm:
    """One storm in one process.

    Args:
        number: of the storm in its run.
        began: when the storm began, in monotonic nanoseconds; `at` is the same in seconds since the test began.
        users: users in their rooms at that moment.

    Attributes:
        dropped: users that were dropped.
        outages: how often a user was dropped; of these outages, `resynced` ended with a delivery, and `abandoned` will
            not.
        drop_ns: time from the start of the storm to the last drop.
        over_at: when the last user resynced or was abandoned, in monotonic nanoseconds; 0 before.
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
        "abandoned",
        "drop_ns",
        "dropped",
        "outages",
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
        self._absences: list[tuple[Sequence[Membership], int]] = []
        self._missed = self._slowest = 0
        self.dropped = self.outages = self.resynced = self.abandoned = 0
        self.drop_ns = 0
        self.over_at = 0

    def record_unaffected(self, by_intended: int) -> None:
        """Record the latency of a delivery to a user that this storm did not drop, in ns from its intended send."""
        self._unaffected.record(by_intended)

    def drop(self, now: int) -> None:
        """Count a dropped user."""
        self.dropped += 1
        self.outages += 1
        self.drop_ns = now - self._began
        self.over_at = 0  # with close handshakes, drops follow one another

    def reconnect(self, now: int) -> None:
        """Count a dropped user that has reconnected."""
        self._count(self._reconnects, now)

    def _count(self, bins: list[int], now: int) -> None:
        index = min((now - self._began) // BIN_NS, _MAX_BINS - 1)
        bins.extend([0] * (index + 1 - len(bins)))
        bins[index] += 1

    def resync(self, now: int, ns: int, memberships: Sequence[Membership], before: int) -> None:
        """Count a dropped user that has received a delivery, `ns` after its drop.

        Args:
            now: monotonic nanoseconds.
            ns: time since its drop.
            memberships: its new memberships.
            before: messages of the rooms up to the drop. Those between the drop and the new memberships were missed.
        """
        self.resynced += 1
        self._resync.record(ns)
        self._slowest = max(self._slowest, ns)
        self._absences.append((memberships, before))
        self._missed += _messages_before(memberships) - before
        self._end_if_complete(now)

    def abandon(self, now: int) -> None:
        """Count a dropped user that will not resync."""
        self.abandoned += 1
        self._end_if_complete(now)

    def _end_if_complete(self, now: int) -> None:
        if self.resynced + self.abandoned >= self.outages:
            self.over_at = now

    def part(self, now: int, *, final: bool = False) -> StormPart:
        """Return what has been counted so far. A `final` part counts the missed messages for the last time."""
        if self._absences and (final or (self.over_at and now - self.over_at > SETTLE_NS)):
            # A message sent before a join may arrive after the first delivery: then it was not missed.
            self._missed = sum(_messages_before(memberships) - before for memberships, before in self._absences)
            self._absences.clear()
        return StormPart(
            id=self._number,
            at=self._at,
            users=self._users,
            dropped=self.dropped,
            outages=self.outages,
            drop_ns=self.drop_ns,
            resync=self._resync.copy(),
            slowest=self._slowest,
            abandoned=self.abandoned,
            reconnects=self._reconnects[:],
            unaffected=self._unaffected.copy(),
            missed=self._missed,
        )


def _messages_before(memberships: Sequence[Membership]) -> int:
    return sum(membership.messages_before() for membership in memberships)
