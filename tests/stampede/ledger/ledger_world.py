"""A model server that knows the truth, for tests of the ledger: what it delivers, drops, doubles or cuts off."""

from __future__ import annotations

from dataclasses import dataclass, field

from stampede.ledger.counts import DeliveryCounts
from stampede.ledger.room import Membership, Room


@dataclass
class Member:
    """A client as the model sees it: what is under way to it, and what it was cheated of."""

    membership: Membership
    inbox: list[tuple[int, int]] = field(default_factory=list)
    unhandled: list[int] = field(default_factory=list)  # sent, not yet seen by the server
    in_room: bool = False


@dataclass
class World:
    """A server with one room, its clients' ledger, and the truth."""

    tally: DeliveryCounts = field(default_factory=DeliveryCounts)
    members: list[Member] = field(default_factory=list)
    owed: int = 0  # deliveries made, in time or not at all, to somebody who stayed for them
    dropped: int = 0
    doubled: int = 0

    def __post_init__(self) -> None:
        self.room = Room(1, self.tally)

    def join(self) -> Member:
        member = Member(self.room.enter())
        self.members.append(member)
        return member

    def confirm(self, member: Member) -> None:
        member.in_room = True
        member.membership.confirm_join()

    def send(self, sender: Member) -> None:
        sender.unhandled.append(self.room.send(sender.membership))

    def handle(self, sender: Member, *, drop_for: int | None = None, double_for: int | None = None) -> None:
        seq = sender.unhandled.pop(0)
        others = [member for member in self.members if member is not sender and member.in_room]
        for index, member in enumerate(others):
            if index == drop_for:
                self.dropped += 1
                continue
            member.inbox.append((sender.membership.slot, seq))
            if index == double_for:
                self.doubled += 1
                member.inbox.append((sender.membership.slot, seq))

    def read(self, member: Member, n: int = 1 << 30) -> None:
        for slot, seq in member.inbox[:n]:
            member.membership.receive(slot, seq)
        del member.inbox[:n]

    def settle_all(self) -> None:
        for member in self.members:
            while member.unhandled:
                self.handle(member)
        for member in self.members:
            self.read(member)

    def leave(self, member: Member) -> None:
        """Leave politely: everything handled, everything read."""
        while member.unhandled:
            self.handle(member)
        mark = self.room.mark()
        self.settle_all()
        member.membership.leave(waited_for=mark)
        self.members.remove(member)

    def cut(self, member: Member) -> None:
        """Vanish: what is under way in either direction is gone."""
        member.membership.leave(closed_cleanly=False)
        self.members.remove(member)


def world(n: int) -> World:
    made = World()
    for _ in range(n):
        made.confirm(made.join())
    return made


def balanced(tally: DeliveryCounts) -> bool:
    return tally.expected == tally.received + tally.lost + tally.in_flight and tally.in_flight >= 0
