"""The ledger of one room: which deliveries are owed, received and lost; pure.

A *membership* is one client in one room over one connection. It has a *slot* in its room; a slot numbers the messages
that its holder sends. All memberships of a room are in one process, so the ledger contains every member. Each delivery
counts for the pair of addresses of the server to which its sender and its receiver are connected:

1. A receiver whose join was confirmed before a message was sent is owed that message. It is *expected* at the send. If
   the server confirms no joins, the first delivery over a new connection takes the place of the confirmation, since the
   server delivers all later messages, too; without a delivery, the client assumes the join after a while.
2. A receiver that was joining meanwhile may be owed the message: the server's order decides. If the message arrives, it
   was owed, and so is everything that its sender sent later (a server handles one client's messages in order).
3. A receiver that leaves is not owed what is in flight, unless it waited for it (`Membership.arrived`).
4. The last messages of a sender that disconnects without a close handshake may never have reached the server. Those
   that no member received count as not handled.
5. A delivery that does not arrive within a whole sweep is *lost*, even if it arrives *late*. One that arrives in time,
   but after a later message of its sender, is *reordered*.
6. `expected = received + lost + in flight` at any time.

The ledger orders messages by sequence number alone, never by time, so it depends on no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.ledger.membership import Membership, Receivers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.ledger.address_pairs import AddressPairs


class Room:
    """The memberships of one room.

    Args:
        address_pairs: where the deliveries are counted.

    Attributes:
        number: number of the room in the run, as in the stamps.
        name: name of the room on the server.
        echoes: whether the server sends a message to its sender, too.
        next_seq: number of the next message of each slot.
        senders: places of the users that send messages here, whether they are in the room at the moment or not.
        dropped: vacated slots whose holder disconnected without a close handshake. The value is the number after the
            highest one that a member received which has left since.
    """

    __slots__ = (
        "_address_pairs",
        "_addresses",
        "_free",
        "_mark",
        "_memberships",
        "_receivers",
        "_vacant",
        "dropped",
        "echoes",
        "name",
        "next_seq",
        "number",
        "senders",
    )

    def __init__(self, number: int, name: str, address_pairs: AddressPairs, *, echoes: bool = False) -> None:
        self.number = number
        self.echoes = echoes
        self.name = name
        self.next_seq: list[int] = []
        self.senders: set[int] = set()
        self._address_pairs = address_pairs
        self._addresses: list[str] = []  # of the holders of the slots
        self._receivers: dict[str, Receivers] = {}  # by address
        self._memberships: dict[int, Membership] = {}
        self._vacant: dict[int, int] = {}  # slot -> sweeps since its holder left
        self.dropped: dict[int, int] = {}
        self._free: list[int] = []
        self._mark: list[int] = []

    @property
    def joined_count(self) -> int:
        """How many joins are confirmed."""
        return sum(receivers.joined for receivers in self._receivers.values())

    def enter(self, address: str = "") -> Membership:
        """Start a membership. Call this before the server can have handled the join.

        Args:
            address: label of the address that the client is connected to.
        """
        receivers = self._receivers.get(address)
        if receivers is None:
            counts = [self._address_pairs.between(sender, address) for sender in self._addresses]
            receivers = self._receivers[address] = Receivers(counts)
        slot = self._new_slot(address)
        membership = self._memberships[slot] = Membership(self, slot, address, receivers)
        return membership

    def _new_slot(self, address: str) -> int:
        """Return a slot for a client at an address. No delivery of an earlier holder is in flight any more."""
        if self._free:
            slot = self._free.pop()
            self._addresses[slot] = address
            for receiver, receivers in self._receivers.items():
                receivers.counts[slot] = self._address_pairs.between(address, receiver)
            return slot
        self.next_seq.append(0)
        self._addresses.append(address)
        for receiver, receivers in self._receivers.items():
            receivers.counts.append(self._address_pairs.between(address, receiver))
        return len(self.next_seq) - 1

    def replace_slot(self, membership: Membership) -> int:
        """Vacate the slot of a member that stays, and return its new one; called by `Membership.renew_slot`."""
        del self._memberships[membership.slot]
        self._vacant[membership.slot] = self.dropped[membership.slot] = 0
        slot = self._new_slot(membership.address)
        self._memberships[slot] = membership
        return slot

    def send(self, membership: Membership) -> int:
        """Count a message of a joined member as it is written; return its number."""
        slot = membership.slot
        seq = self.next_seq[slot]
        self.next_seq[slot] = seq + 1
        for receivers in self._receivers.values():
            receivers.counts[slot].expected += receivers.joined
        if not self.echoes:
            self._receivers[membership.address].counts[slot].expected -= 1
        return seq

    def mark(self) -> list[int]:
        """Return the numbers of the next messages by slot, which mark what has been sent so far."""
        return self.next_seq[:]

    def remove(self, membership: Membership, *, closed_cleanly: bool) -> None:
        """Remove a membership; called by `Membership.leave`. Its slot is reused once its messages are accounted for."""
        del self._memberships[membership.slot]
        for slot, received in self.dropped.items():
            self.dropped[slot] = max(received, membership.received_until(slot))
        self._vacant[membership.slot] = 0
        if not closed_cleanly:
            self.dropped[membership.slot] = 0

    def sweep(self) -> Iterator[None]:
        """Give up what was sent before the last sweep and has not arrived; close the accounts of members that left.

        Sweep at a regular interval: a delivery is lost after one to two intervals. The iterator yields after each
        membership, since sweeping a room of thousands must not delay deliveries.
        """
        mark, self._mark = self._mark, self.mark()
        for slot, sweeps in list(self._vacant.items()):
            self._vacant[slot] = sweeps + 1
            if sweeps:
                self._close_slot(slot)
        for membership in list(self._memberships.values()):
            if self._memberships.get(membership.slot) is membership:
                membership.prune(mark)
                membership.give_up(mark)
            yield

    def close_accounts(self) -> None:
        """Close all accounts: what has not arrived is lost, or churned where its sender disconnected."""
        for slot in list(self._vacant):
            self._close_slot(slot)
        mark = self.mark()
        for membership in self._memberships.values():
            membership.give_up(mark)

    def _close_slot(self, slot: int) -> None:
        """Close the accounts of a slot whose holder left, and free the slot."""
        del self._vacant[slot]
        memberships = self._memberships.values()
        if slot in self.dropped:
            handled = max(self.dropped.pop(slot), *(member.received_until(slot) for member in memberships), 0)
        else:
            handled = self.next_seq[slot]
        for member in memberships:
            member.close_account(slot, handled)
        self._free.append(slot)
