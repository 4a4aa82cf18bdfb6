"""The ledger of one room: which deliveries are owed, received and lost; pure.

A *membership* is one client in one room over one connection. It has a *slot* in its room; a slot numbers the messages
that its holder sends. All memberships of a room are in one process, so the ledger contains every member:

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

from operator import lt
from typing import TYPE_CHECKING, Final

from stampede.ledger.pair import PairLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stampede.ledger.counts import DeliveryCounts

_OWN: Final = 1 << 62  # a slot owes itself no message: no sequence number reaches this
_IRREGULAR: Final = -1  # matches no sequence number: the slot has a `PairLedger`


class Membership:
    """One client's membership of one room over one connection; created by `Room.enter`.

    In the common case a delivery costs one comparison: `_next[slot]` is the number due next from that slot.

    Attributes:
        room: the room.
        slot: the client's slot in it.
        joined: whether the server has confirmed the join.
        on_early_delivery: called after each delivery that arrives before the join is confirmed.
    """

    __slots__ = ("_base", "_counts", "_next", "_pairs", "joined", "on_early_delivery", "room", "slot")

    def __init__(self, room: Room, slot: int, counts: DeliveryCounts) -> None:
        self.room = room
        self.slot = slot
        self.joined = False
        self.on_early_delivery: Callable[[], None] | None = None
        self._counts = counts
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
            self._counts.expected += self._next[slot] - pair.next
            self._next[slot] = _IRREGULAR
        self.joined = True
        self.room.joined_count += 1
        for slot in list(self._pairs):
            self._drop_if_regular(slot)

    def receive(self, slot: int, seq: int) -> bool:
        """Count an arrival of message `seq` of `slot`; return whether it was owed and in time."""
        try:
            if self._next[slot] == seq:
                self._next[slot] = seq + 1
                self._counts.received += 1
                return True
        except IndexError:
            pass
        return self._receive_irregular(slot, seq)

    def _receive_irregular(self, slot: int, seq: int) -> bool:
        sent = self.room.next_seq
        if slot >= len(sent) or seq >= sent[slot]:
            self._counts.duplicated += 1
            return False
        pair = self._pairs.get(slot)
        if not self.joined:
            if pair is None:
                self._pairs[slot] = pair = PairLedger(seq, seq)
            self._counts.expected += max(0, seq + 1 - pair.next)
            owed = pair.receive(seq, self._counts)
            if self.on_early_delivery is not None:
                self.on_early_delivery()
            return owed
        owed = self._pair_ledger(slot).receive(seq, self._counts)
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
                self._pair_ledger(slot).give_up(mark[slot], self._counts)
            return
        for slot, pair in self._pairs.items():  # nothing is known to be owed by the other slots yet
            if slot < len(mark):
                pair.give_up(min(mark[slot], pair.next), self._counts)

    def close_account(self, slot: int, handled: int) -> None:
        """Close the account of a slot whose holder left: open messages below `handled` are lost, later ones churned."""
        if not self.joined:
            dropped = self._pairs.pop(slot, None)
            self._counts.lost += len(dropped.missing) if dropped else 0
            return
        pair = self._pair_ledger(slot)
        end = self.room.next_seq[slot]
        lost = len(pair.missing) + max(0, handled - pair.unknown_from)
        churned = max(0, end - max(pair.unknown_from, handled))
        self._counts.lost += lost
        self._counts.expected -= churned
        self._counts.churned += churned
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

    def leave(self, *, waited_for: list[int] | None = None, closed_cleanly: bool = True) -> None:
        """End the membership.

        Args:
            waited_for: a `Room.mark` up to which the client waited: messages missing before it are lost, not churned.
            closed_cleanly: whether the server has certainly handled everything that the client sent.
        """
        if waited_for is not None:
            self.give_up(waited_for)
        self._release()
        if self.joined:
            self.joined = False
            self.room.joined_count -= 1
        self.room.remove(self, closed_cleanly=closed_cleanly)

    def _release(self) -> None:
        """Cancel the deliveries in flight to this client (rule 3). Messages overtaken before it left are lost."""
        self._counts.lost += sum(len(pair.missing) for pair in self._pairs.values())
        if not self.joined:
            return
        sent = self.room.next_seq
        for slot in self._open_before(sent):
            pair = self._pairs.get(slot)
            churned = sent[slot] - (pair.unknown_from if pair else self._next[slot])
            self._counts.expected -= churned
            self._counts.churned += churned


class Room:
    """The memberships of one room.

    Attributes:
        number: number of the room in the run, as in the stamps.
        name: name of the room on the server.
        echoes: whether the server sends a message to its sender, too.
        next_seq: number of the next message of each slot.
        joined_count: how many joins are confirmed.
        senders: places of the users that send messages here, whether they are in the room at the moment or not.
        dropped: vacated slots whose holder disconnected without a close handshake. The value is the number after the
            highest one that a member received which has left since.
    """

    __slots__ = (
        "_counts",
        "_free",
        "_mark",
        "_memberships",
        "_vacant",
        "dropped",
        "echoes",
        "joined_count",
        "name",
        "next_seq",
        "number",
        "senders",
    )

    def __init__(self, number: int, name: str, counts: DeliveryCounts, *, echoes: bool = False) -> None:
        self.number = number
        self.echoes = echoes
        self.name = name
        self.next_seq: list[int] = []
        self.joined_count = 0
        self.senders: set[int] = set()
        self._counts = counts
        self._memberships: dict[int, Membership] = {}
        self._vacant: dict[int, int] = {}  # slot -> sweeps since its holder left
        self.dropped: dict[int, int] = {}
        self._free: list[int] = []
        self._mark: list[int] = []

    def enter(self) -> Membership:
        """Start a membership. Call this before the server can have handled the join."""
        slot = self._new_slot()
        membership = self._memberships[slot] = Membership(self, slot, self._counts)
        return membership

    def _new_slot(self) -> int:
        if self._free:
            return self._free.pop()
        self.next_seq.append(0)
        return len(self.next_seq) - 1

    def replace_slot(self, membership: Membership) -> int:
        """Vacate the slot of a member that stays, and return its new one; called by `Membership.renew_slot`."""
        del self._memberships[membership.slot]
        self._vacant[membership.slot] = self.dropped[membership.slot] = 0
        slot = self._new_slot()
        self._memberships[slot] = membership
        return slot

    def send(self, membership: Membership) -> int:
        """Count a message of a joined member as it is written; return its number."""
        seq = self.next_seq[membership.slot]
        self.next_seq[membership.slot] = seq + 1
        self._counts.expected += self.joined_count if self.echoes else self.joined_count - 1
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
