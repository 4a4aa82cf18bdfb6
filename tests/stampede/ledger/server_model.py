"""A model of a server that counts its own faults, for tests of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stampede.ledger.address_pairs import AddressPairs
from stampede.ledger.room import Room

if TYPE_CHECKING:
    from stampede.ledger.counts import DeliveryCounts
    from stampede.ledger.membership import Membership


@dataclass
class Client:
    """A client in the model, and the messages in flight from and to it."""

    membership: Membership
    inbox: list[tuple[int, int]] = field(default_factory=list)
    unhandled: list[int] = field(default_factory=list)  # sent, not yet handled by the server
    in_room: bool = False


@dataclass
class ServerModel:
    """A server with one room, the ledger of its clients, and the true counts."""

    pairs: AddressPairs = field(default_factory=AddressPairs)
    members: list[Client] = field(default_factory=list)
    owed: int = 0  # deliveries to members that were still in the room
    dropped: int = 0
    duplicated: int = 0
    joins_by_delivery: bool = False  # a delivery takes the place of the confirmation

    def __post_init__(self) -> None:
        self.room = Room(1, "room-1", self.pairs)

    @property
    def counts(self) -> DeliveryCounts:
        return self.pairs.total()

    def join(self, address: str = "") -> Client:
        member = Client(self.room.enter(address))
        if self.joins_by_delivery:
            member.membership.on_early_delivery = member.membership.confirm_join
        self.members.append(member)
        return member

    def confirm(self, member: Client) -> None:
        member.in_room = True
        member.membership.confirm_join()

    def send(self, sender: Client) -> None:
        sender.unhandled.append(self.room.send(sender.membership))

    def handle(self, sender: Client, *, drop_for: int | None = None, duplicate_for: int | None = None) -> None:
        seq = sender.unhandled.pop(0)
        others = [member for member in self.members if member is not sender and member.in_room]
        for index, member in enumerate(others):
            if index == drop_for:
                self.dropped += 1
                continue
            member.inbox.append((sender.membership.slot, seq))
            if index == duplicate_for:
                self.duplicated += 1
                member.inbox.append((sender.membership.slot, seq))

    def read(self, member: Client, n: int = 1 << 30) -> None:
        for slot, seq in member.inbox[:n]:
            member.membership.receive(slot, seq)
        del member.inbox[:n]

    def deliver_all(self) -> None:
        for member in self.members:
            while member.unhandled:
                self.handle(member)
        for member in self.members:
            self.read(member)

    def sweep(self) -> None:
        for _ in self.room.sweep():
            pass

    def leave(self, member: Client) -> None:
        """Leave after everything was handled and read."""
        while member.unhandled:
            self.handle(member)
        mark = self.room.mark()
        self.deliver_all()
        member.membership.leave(waited_for=mark)
        self.members.remove(member)

    def disconnect(self, member: Client) -> None:
        """Disconnect: everything in flight in either direction is lost."""
        member.membership.leave(closed_cleanly=False)
        self.members.remove(member)


def model_with(n: int) -> ServerModel:
    made = ServerModel()
    for _ in range(n):
        made.confirm(made.join())
    return made


def balanced(counts: DeliveryCounts) -> bool:
    return counts.expected == counts.received + counts.lost + counts.in_flight and counts.in_flight >= 0
