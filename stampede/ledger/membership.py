"""One client's membership of one room over one connection; pure.

`stampede.ledger.room` states the rules.
"""

from __future__ import annotations

from operator import lt
from typing import TYPE_CHECKING, Final

from stampede.ledger.pair import PairLedger

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.ledger.counts import DeliveryCounts
    from stampede.ledger.room import Room
    from stampede.ledger.stamp import Fields

_OWN: Final = 1 << 62  # a slot owes itself no message: no sequence number reaches this
_IRREGULAR: Final = -1  # matches no sequence number: the slot has a `PairLedger`


class Receivers:
    """The members of a room that are connected to one address of the server.

    Attributes:
        joined: how many joins of them are confirmed.
        counts: for each slot, the counts of the deliveries from the address of its holder to this one.
    """

    __slots__ = ("counts", "joined")

    def __init__(self, counts: list[DeliveryCounts]) -> None:
        self.joined = 0
        self.counts = counts


class Membership:
    """One client's membership of one room over one connection; created by `Room.enter`.

    In the common case a delivery costs one comparison: `_next[slot]` is the number due next from that slot.

    Attributes:
        room: the room.
        slot: the client's slot in it.
        address: label of the address that the client is connected to.
        joined: whether the server has confirmed the join.
        on_early_delivery: called after each delivery that arrives before the join is confirmed.
    """

    __slots__ = (
        "_base",
        "_counts",
        "_next",
        "_pairs",
        "_receivers",
        "address",
        "joined",
        "on_early_delivery",
        "room",
        "slot",
    )

    def __init__(self, room: Room, slot: int, address: str, receivers: Receivers) -> None:
        self.room = room
        self.slot = slot
        self.address = address
        self.joined = False
        self.on_early_delivery: Callable[[], None] | None = None
        self._receivers = receivers
        self._counts = receivers.counts  # saves an access in each delivery
        self._next: list[int] = []
        self._base: list[int] = []
        self._pairs: dict[int, PairLedger] = {}

    def confirm_join(self) -> None:
        """Record that the server has confirmed the join: every later message is owed."""
        if self.joined:
            return
        self._base = self.room.next_seq[:]
        self._next = self._base[:]
        if not self.room.echoes:
            self._next[self.slot] = _OWN
        for slot, pair in self._pairs.items():
            self._counts[slot].expected += self._next[slot] - pair.next
            self._next[slot] = _IRREGULAR
        self.joined = True
        self._receivers.joined += 1
        for slot in list(self._pairs):
            self._drop_if_regular(slot)

    def receive(self, slot: int, seq: int) -> bool:
        """Count an arrival of message `seq` of `slot`; return whether it was owed and in time."""
        try:
            if self._next[slot] == seq:
                self._next[slot] = seq + 1
                self._counts[slot].received += 1
                return True
        except IndexError:
            pass
        return self._receive_irregular(slot, seq)

    def receive_batch(self, messages: list[Fields]) -> None:
        """Count the arrivals of messages, given by the fields of their stamps, in this order."""
        following, counts = self._next, self._counts
        length = len(following)
        for _, _, _, _, slot, seq in messages:
            if slot < length and following[slot] == seq:
                following[slot] = seq + 1
                counts[slot].received += 1
            else:
                self._receive_irregular(slot, seq)
                following, length = self._next, len(self._next)  # it may have confirmed the join, or added slots

    def _receive_irregular(self, slot: int, seq: int) -> bool:
        sent = self.room.next_seq
        if slot >= len(sent) or seq >= sent[slot]:
            self._counts[self.slot].duplicated += 1
            return False
        pair, counts = self._pairs.get(slot), self._counts[slot]
        if not self.joined:
            if pair is None:
                self._pairs[slot] = pair = PairLedger(seq, seq)
            counts.expected += max(0, seq + 1 - pair.next)
            owed = pair.receive(seq, counts)
            if self.on_early_delivery is not None:
                self.on_early_delivery()
            return owed
        owed = self._pair_ledger(slot).receive(seq, counts)
        self._drop_if_regular(slot)
        return owed

    def _pair_ledger(self, slot: int) -> PairLedger:
        """Return the `PairLedger` of a slot; create it if the slot was regular."""
        self._add_new_slots()
        pair = self._pairs.get(slot)
        if pair is None:
            pair = self._pairs[slot] = PairLedger(self._base[slot], self._next[slot])
            self._next[slot] = _IRREGULAR
        return pair

    def _drop_if_regular(self, slot: int) -> None:
        """Replace a `PairLedger` by two numbers where these describe it completely."""
        pair = self._pairs[slot]
        if pair.is_regular:
            self._base[slot] = pair.base
            self._next[slot] = pair.next
            del self._pairs[slot]

    def _add_new_slots(self) -> None:
        """Add the slots that are newer than this membership: all of their messages are owed."""
        new = len(self.room.next_seq) - len(self._next)
        if new > 0:
            self._next.extend([0] * new)
            self._base.extend([0] * new)

    def arrived(self, mark: list[int]) -> bool:
        """Return whether everything owed up to `mark` (see `Room.mark`) has arrived or is lost."""
        return not self.joined or not self._overdue(mark)

    def _overdue(self, mark: list[int]) -> list[int]:
        """Return the slots with something open before `mark`, except those whose holder disconnected (rule 4)."""
        return [slot for slot in self._open_before(mark) if slot not in self.room.dropped]

    def _open_before(self, mark: list[int]) -> list[int]:
        """Return the slots with a message before `mark` that is neither received nor given up."""
        self._add_new_slots()
        if not any(map(lt, self._next, mark)):  # runs in C, and is nearly always false
            return []
        pairs = self._pairs
        return [
            slot
            for slot, (due, limit) in enumerate(zip(self._next, mark, strict=False))
            if due < limit and (due != _IRREGULAR or pairs[slot].awaits(limit))
        ]

    def renew_slot(self) -> None:
        """Continue with a new slot, because the server may not have taken the last message (rule 4)."""
        old, echoes = self.slot, self.room.echoes
        self._add_new_slots()
        if not echoes:  # otherwise the account of the old slot goes on until it is closed
            self._base[old] = self._next[old] = self.room.next_seq[old]
        self.slot = self.room.replace_slot(self)
        self._add_new_slots()
        self._base[self.slot] = self.room.next_seq[self.slot]
        self._next[self.slot] = self._base[self.slot] if echoes else _OWN

    def give_up(self, mark: list[int]) -> None:
        """Count everything sent before `mark` that has not arrived as lost."""
        if self.joined:
            for slot in self._overdue(mark):
                self._pair_ledger(slot).give_up(mark[slot], self._counts[slot])
            return
        for slot, pair in self._pairs.items():  # nothing is known to be owed by the other slots yet
            if slot < len(mark):
                pair.give_up(min(mark[slot], pair.next), self._counts[slot])

    def close_account(self, slot: int, handled: int) -> None:
        """Close the account of a slot whose holder left: open messages below `handled` are lost, later ones churned."""
        counts = self._counts[slot]
        if not self.joined:
            dropped = self._pairs.pop(slot, None)
            counts.lost += len(dropped.missing) if dropped else 0
            return
        pair = self._pair_ledger(slot)
        end = self.room.next_seq[slot]
        lost = len(pair.missing) + max(0, handled - pair.unknown_from)
        churned = max(0, end - max(pair.unknown_from, handled))
        counts.lost += lost
        counts.expected -= churned
        counts.churned += churned
        del self._pairs[slot]
        self._base[slot] = pair.base
        self._next[slot] = end

    def received_until(self, slot: int) -> int:
        """Return the number after the highest one received of a slot, or 0 when nothing was received."""
        pair = self._pairs.get(slot)
        if pair is not None:
            return pair.next if pair.next > pair.base else 0
        if slot >= len(self._next) or self._next[slot] == self._base[slot]:
            return 0  # the base of an account does not show what the server handled
        return self._next[slot]

    def messages_before(self) -> int:
        """Return how many messages of the room precede this membership's accounts.

        Before the join is confirmed, an account without deliveries would begin with the next message.
        """
        base = self._base or self.room.next_seq
        return sum(base) + sum(pair.base - base[slot] for slot, pair in self._pairs.items())

    def prune(self, mark: list[int]) -> None:
        """Drop the numbers lost before `mark`. If one of them arrives after so long, it counts as duplicated."""
        for slot, pair in list(self._pairs.items()):
            if slot < len(mark) and pair.lost:
                pair.lost = {seq for seq in pair.lost if seq >= mark[slot]}
                if self.joined:
                    self._drop_if_regular(slot)

    def leave(self, *, waited_for: list[int] | None = None, closed_cleanly: bool = True) -> int:
        """End the membership.

        Args:
            waited_for: a `Room.mark` up to which the client waited: messages missing before it are lost, not churned.
            closed_cleanly: whether the server has certainly handled everything that the client sent.

        Returns:
            How many deliveries were in flight to the client and are no longer owed.
        """
        if waited_for is not None:
            self.give_up(waited_for)
        churned = self._release()
        if self.joined:
            self.joined = False
            self._receivers.joined -= 1
        self.room.remove(self, closed_cleanly=closed_cleanly)
        return churned

    def _release(self) -> int:
        """Cancel the deliveries in flight to this client (rule 3), and return their number.

        Messages overtaken before it left are lost.
        """
        for slot, pair in self._pairs.items():
            self._counts[slot].lost += len(pair.missing)
        if not self.joined:
            return 0
        sent, all_churned = self.room.next_seq, 0
        for slot in self._open_before(sent):
            irregular = self._pairs.get(slot)
            churned = sent[slot] - (irregular.unknown_from if irregular else self._next[slot])
            self._counts[slot].expected -= churned
            self._counts[slot].churned += churned
            all_churned += churned
        return all_churned
