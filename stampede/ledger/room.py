"""The ledger: which deliveries are owed, which came, which never will; pure, no clock, no socket.

A *stay* is one client in one room over one connection. It has a *slot* in its room, which numbers what it sends. All of
a room's stays live in one process, so the ledger needs to guess nothing about members:

1. Who had `roomJoined` before a message was written is owed it. It counts as *expected* at the send.
2. Who was joining meanwhile may or may not be owed it: the server's order decides. When it comes, it was owed, and so
   is all that its sender sent since (one client's messages are handled in the order they came).
3. Who leaves is not owed what is still in flight, unless it waited for it (`Stay.arrived`).
4. Who drops without a goodbye may have taken its last messages with it. Those which nobody received were never handled.
5. What has not come for a whole sweep is *lost*, and stays so even if it comes *late*. What comes earlier than that,
   but after a later message of its sender, is *reordered*.
6. `expected = received + lost + in flight`, at any time.

Slots are never told apart by time, only by order, so nothing here depends on a clock being right.
"""

from __future__ import annotations

from operator import lt
from typing import TYPE_CHECKING, Final

from stampede.ledger.pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.ledger.pair import Tally

_OWN: Final = 1 << 62  # a slot owes nothing to itself: no sequence number reaches this
_IRREGULAR: Final = -1  # no sequence number equals this: the pair is kept in full


class Stay:
    """One client's membership of one room over one connection; made by `Room.enter`.

    The common case costs one comparison: `_next[slot]` is the number due next from that slot.
    """

    __slots__ = ("_base", "_next", "_pairs", "_tally", "room", "settled", "slot")

    def __init__(self, room: Room, slot: int, tally: Tally) -> None:
        self.room = room
        self.slot = slot
        self.settled = False
        self._tally = tally
        self._next: list[int] = []
        self._base: list[int] = []
        self._pairs: dict[int, Pair] = {}

    def settle(self) -> None:
        """Note that the server has confirmed the join: from here on everything sent is owed."""
        if self.settled:
            return
        self._base = self.room.next_seq[:]
        self._next = self._base[:]
        self._next[self.slot] = _OWN
        for slot, pair in self._pairs.items():
            self._tally.expected += self._next[slot] - pair.next
            self._next[slot] = _IRREGULAR
        self.settled = True
        self.room.settled += 1
        for slot in list(self._pairs):
            self._tidy(slot)

    def receive(self, slot: int, seq: int) -> bool:
        """Count a delivery of message `seq` of `slot` of the own room; return whether it was owed."""
        try:
            if self._next[slot] == seq:
                self._next[slot] = seq + 1
                self._tally.received += 1
                return True
        except IndexError:
            pass
        return self._receive_irregular(slot, seq)

    def _receive_irregular(self, slot: int, seq: int) -> bool:
        sent = self.room.next_seq
        if slot == self.slot or slot >= len(sent) or seq >= sent[slot]:
            self._tally.duplicated += 1
            return False
        pair = self._pairs.get(slot)
        if not self.settled:
            if pair is None:
                self._pairs[slot] = pair = Pair(seq, seq)
            self._tally.expected += max(0, seq + 1 - pair.next)
            return pair.take(seq, self._tally)
        owed = self._pair(slot).take(seq, self._tally)
        self._tidy(slot)
        return owed

    def _pair(self, slot: int) -> Pair:
        """Keep a pair in full from now on."""
        self._extend()
        pair = self._pairs.get(slot)
        if pair is None:
            pair = self._pairs[slot] = Pair(self._base[slot], self._next[slot])
            self._next[slot] = _IRREGULAR
        return pair

    def _tidy(self, slot: int) -> None:
        """Return a pair to the common case if it is one again."""
        pair = self._pairs[slot]
        if pair.clean:
            self._base[slot] = pair.base
            self._next[slot] = pair.next
            del self._pairs[slot]

    def _extend(self) -> None:
        """Learn of slots that are newer than this stay: all they ever sent is owed."""
        new = len(self.room.next_seq) - len(self._next)
        if new > 0:
            self._next.extend([0] * new)
            self._base.extend([0] * new)

    def arrived(self, mark: list[int]) -> bool:
        """Return whether everything surely sent up to `mark` (see `Room.mark`) has come or is known to be lost."""
        return not self.settled or not self._overdue(mark)

    def _overdue(self, mark: list[int]) -> list[int]:
        """Return the slots with something open before `mark`, but for those whose holder dropped (law 4)."""
        return [slot for slot in self._open_before(mark) if slot not in self.room.dropped]

    def _open_before(self, mark: list[int]) -> list[int]:
        """Return the slots of which something before `mark` is neither received nor given up."""
        self._extend()
        if not any(map(lt, self._next, mark)):  # at C speed: nearly always the answer
            return []
        pairs = self._pairs
        return [
            slot
            for slot, (due, limit) in enumerate(zip(self._next, mark, strict=False))
            if due < limit and (due != _IRREGULAR or pairs[slot].awaits(limit))
        ]

    def write_off(self, mark: list[int]) -> None:
        """Give up what was sent before `mark` and has not come."""
        if self.settled:
            for slot in self._overdue(mark):
                self._pair(slot).give_up(mark[slot], self._tally)
            return
        for slot, pair in self._pairs.items():  # of the others nothing is known to be owed yet
            if slot < len(mark):
                pair.give_up(min(mark[slot], pair.next), self._tally)

    def forget(self, slot: int, handled: int) -> None:
        """Close the account of a slot whose holder left: what is open below `handled` is lost, the rest is churn."""
        if not self.settled:
            dropped = self._pairs.pop(slot, None)
            self._tally.lost += len(dropped.missing) if dropped else 0
            return
        pair = self._pair(slot)
        end = self.room.next_seq[slot]
        lost = len(pair.missing) + max(0, handled - pair.open)
        churned = max(0, end - max(pair.open, handled))
        self._tally.lost += lost
        self._tally.expected -= churned
        self._tally.churned += churned
        del self._pairs[slot]
        self._base[slot] = pair.base
        self._next[slot] = end

    def seen(self, slot: int) -> int:
        """Return the number after the highest one received of a slot, or 0 when nothing was."""
        pair = self._pairs.get(slot)
        if pair is not None:
            return pair.next if pair.next > pair.base else 0
        if slot >= len(self._next) or self._next[slot] == self._base[slot]:
            return 0  # where one's account begins proves nothing about what the server handled
        return self._next[slot]

    def begins(self) -> int:
        """Return how many messages of the room came before this stay's account of their sender begins.

        Before the join is confirmed, an account without deliveries would begin with the next message.
        """
        base = self._base or self.room.next_seq
        return sum(base) + sum(pair.base - base[slot] for slot, pair in self._pairs.items())

    def prune(self, mark: list[int]) -> None:
        """Forget which numbers before `mark` were lost: should one come after so long, it counts as duplicated."""
        for slot, pair in list(self._pairs.items()):
            if slot < len(mark) and pair.gone:
                pair.gone = {seq for seq in pair.gone if seq >= mark[slot]}
                if self.settled:
                    self._tidy(slot)

    def leave(self, *, waited_for: list[int] | None = None, said_goodbye: bool = True) -> None:
        """End the stay.

        Args:
            waited_for: a `Room.mark` up to which the client waited, so that what is missing is lost and not churn.
            said_goodbye: whether the server has surely handled all that the client sent.
        """
        if waited_for is not None:
            self.write_off(waited_for)
        self._release()
        if self.settled:
            self.settled = False
            self.room.settled -= 1
        self.room.vacate(self, said_goodbye=said_goodbye)

    def _release(self) -> None:
        """Take back what is in flight to this stay (law 3); what was overtaken before it left is lost."""
        self._tally.lost += sum(len(pair.missing) for pair in self._pairs.values())
        if not self.settled:
            return
        sent = self.room.next_seq
        for slot in self._open_before(sent):
            pair = self._pairs.get(slot)
            churned = sent[slot] - (pair.open if pair else self._next[slot])
            self._tally.expected -= churned
            self._tally.churned += churned


class Room:
    """The stays of one room.

    Attributes:
        number: global number of the room, as in the stamps.
        next_seq: number of the next message, by slot.
        settled: how many stays are confirmed.
        speakers: places of the users that send messages here, whether or not they are in the room now.
        dropped: vacated slots whose holder said no goodbye; the value is the number after the highest one that
            somebody received who has left himself since.
    """

    __slots__ = (
        "_free",
        "_mark",
        "_stays",
        "_tally",
        "_vacant",
        "dropped",
        "next_seq",
        "number",
        "settled",
        "speakers",
    )

    def __init__(self, number: int, tally: Tally) -> None:
        self.number = number
        self.next_seq: list[int] = []
        self.settled = 0
        self.speakers: set[int] = set()
        self._tally = tally
        self._stays: dict[int, Stay] = {}
        self._vacant: dict[int, int] = {}  # slot -> sweeps since its holder left
        self.dropped: dict[int, int] = {}
        self._free: list[int] = []
        self._mark: list[int] = []

    def enter(self) -> Stay:
        """Begin a stay; call it before the server can possibly have handled the join."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self.next_seq)
            self.next_seq.append(0)
        stay = self._stays[slot] = Stay(self, slot, self._tally)
        return stay

    def send(self, stay: Stay) -> int:
        """Count a message of a settled stay as it is written; return its number."""
        seq = self.next_seq[stay.slot]
        self.next_seq[stay.slot] = seq + 1
        self._tally.expected += self.settled - 1
        return seq

    def mark(self) -> list[int]:
        """Return what has been sent so far, by slot."""
        return self.next_seq[:]

    def vacate(self, stay: Stay, *, said_goodbye: bool) -> None:
        """Take a stay out; its slot is used again once its messages are accounted for. Called by `Stay.leave`."""
        del self._stays[stay.slot]
        for slot, seen in self.dropped.items():
            self.dropped[slot] = max(seen, stay.seen(slot))
        self._vacant[stay.slot] = 0
        if not said_goodbye:
            self.dropped[stay.slot] = 0

    def sweep(self) -> None:
        """Give up what has not come since the last sweep but one; close the accounts of those who left.

        Call it at a regular interval: a delivery is lost after one to two of them.
        """
        for _ in self.sweep_in_steps():
            pass

    def sweep_in_steps(self) -> Iterator[None]:
        """Sweep and pause after each stay: that of a room of thousands must not hold up deliveries."""
        mark, self._mark = self._mark, self.mark()
        for slot, sweeps in list(self._vacant.items()):
            self._vacant[slot] = sweeps + 1
            if sweeps:
                self._close(slot)
        for stay in list(self._stays.values()):
            if self._stays.get(stay.slot) is stay:
                stay.prune(mark)
                stay.write_off(mark)
            yield

    def close_books(self) -> None:
        """End all accounts: what has not come by now is lost, or churn where its sender dropped."""
        for slot in list(self._vacant):
            self._close(slot)
        mark = self.mark()
        for stay in self._stays.values():
            stay.write_off(mark)

    def _close(self, slot: int) -> None:
        """Close the account of a slot whose holder left, and free it."""
        del self._vacant[slot]
        if slot in self.dropped:
            handled = max(self.dropped.pop(slot), *(stay.seen(slot) for stay in self._stays.values()), 0)
        else:
            handled = self.next_seq[slot]
        for stay in self._stays.values():
            stay.forget(slot, handled)
        self._free.append(slot)
