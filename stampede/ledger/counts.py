"""The counts of the ledger; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace


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

    def without_in_flight(self) -> DeliveryCounts:
        """Return the counts as if nothing were in flight."""
        return replace(self, expected=self.received + self.lost)

    def add(self, other: DeliveryCounts) -> None:
        """Add the counts of other deliveries."""
        self.expected += other.expected
        self.received += other.received
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.reordered += other.reordered
        self.late += other.late
        self.churned += other.churned
        self.foreign_clock += other.foreign_clock


@dataclass(slots=True)
class OrderCounts:
    """Samples of the order in which members of a room receive messages of different senders, since the test began.

    Attributes:
        samples: samples in which members were compared; each is of one room over a few seconds.
        members: members compared, once for each sample that they are in.
        messages: messages compared.
        divergent: compared members whose order was not the usual one of their room; see `stampede.ledger.order`.
    """

    samples: int = 0
    members: int = 0
    messages: int = 0
    divergent: int = 0

    def add(self, other: OrderCounts) -> None:
        """Add the counts of another sample."""
        self.samples += other.samples
        self.members += other.members
        self.messages += other.messages
        self.divergent += other.divergent
