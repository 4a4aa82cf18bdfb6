"""The counts of the ledger; pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class DeliveryCounts:
    """Deliveries since the test began.

    Attributes:
        expected: deliveries owed to some receiver, as far as known.
        received: owed deliveries that arrived, each counted once.
        lost: owed deliveries that did not arrive within one to two sweeps, or before the end; never decreases.
        duplicated: arrivals that were not owed: second copies, echoes to the sender, messages of another room.
        reordered: received deliveries that a later message of the same sender had overtaken.
        late: lost deliveries that arrived after all.
        churned: deliveries no longer owed, because sender or receiver left while they were in flight.
        foreign_clock: stamped deliveries of another run, which has another clock and other sequence numbers.
    """

    expected: int = 0
    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    late: int = 0
    churned: int = 0
    foreign_clock: int = 0

    @property
    def in_flight(self) -> int:
        """Deliveries that may still arrive."""
        return self.expected - self.received - self.lost
