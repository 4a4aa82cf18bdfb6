"""The counts of the ledger by pair of addresses; pure.

A server of several instances has several addresses, and the members of a room are connected to different ones. A bus
between the instances that does not deliver then shows as loss between addresses.
"""

from __future__ import annotations

from dataclasses import replace

from stampede.ledger.counts import DeliveryCounts


class AddressPairs:
    """The counts of all deliveries of a process.

    Attributes:
        unowed: arrivals that belong to no membership: duplicated ones and those of another run.
    """

    __slots__ = ("_pairs", "unowed")

    def __init__(self) -> None:
        self._pairs: dict[str, dict[str, DeliveryCounts]] = {}
        self.unowed = DeliveryCounts()

    def between(self, sender: str, receiver: str) -> DeliveryCounts:
        """Return the counts of the deliveries from clients at one address to clients at another, or at the same."""
        return self._pairs.setdefault(sender, {}).setdefault(receiver, DeliveryCounts())

    def total(self) -> DeliveryCounts:
        """Return the sum of all counts."""
        total = replace(self.unowed)
        for receivers in self._pairs.values():
            for counts in receivers.values():
                total.add(counts)
        return total

    def copy(self) -> dict[str, dict[str, DeliveryCounts]]:
        """Return a copy of the counts by the sender's and the receiver's address."""
        return {
            sender: {receiver: replace(counts) for receiver, counts in receivers.items()}
            for sender, receivers in self._pairs.items()
        }
