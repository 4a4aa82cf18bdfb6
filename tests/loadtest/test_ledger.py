"""The ledger against a model server that knows the truth: what it delivers, drops, doubles, swaps or cuts off."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest._account import Tally
from loadtest._ledger import Room, Stay


@dataclass
class Member:
    """A client as the model sees it: what is under way to it, and what it was cheated of."""

    stay: Stay
    inbox: list[tuple[int, int]] = field(default_factory=list)
    unhandled: list[int] = field(default_factory=list)  # sent, not yet seen by the server
    in_room: bool = False


@dataclass
class World:
    """A server with one room, its clients' ledger, and the truth."""

    tally: Tally = field(default_factory=Tally)
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
        member.stay.settle()

    def send(self, sender: Member) -> None:
        sender.unhandled.append(self.room.send(sender.stay))

    def handle(self, sender: Member, *, drop_for: int | None = None, double_for: int | None = None) -> None:
        seq = sender.unhandled.pop(0)
        others = [member for member in self.members if member is not sender and member.in_room]
        for index, member in enumerate(others):
            if index == drop_for:
                self.dropped += 1
                continue
            member.inbox.append((sender.stay.slot, seq))
            if index == double_for:
                self.doubled += 1
                member.inbox.append((sender.stay.slot, seq))

    def read(self, member: Member, n: int = 1 << 30) -> None:
        for slot, seq in member.inbox[:n]:
            member.stay.receive(slot, seq)
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
        member.stay.leave(waited_for=mark)
        self.members.remove(member)

    def cut(self, member: Member) -> None:
        """Vanish: what is under way in either direction is gone."""
        member.stay.leave(said_goodbye=False)
        self.members.remove(member)


def world(n: int) -> World:
    made = World()
    for _ in range(n):
        made.confirm(made.join())
    return made


def balanced(tally: Tally) -> bool:
    return tally.expected == tally.received + tally.lost + tally.in_flight and tally.in_flight >= 0


def test_a_message_is_owed_to_everyone_else_in_the_room() -> None:
    herd = world(5)
    herd.send(herd.members[0])
    assert herd.tally.expected == 4
    herd.settle_all()
    assert (herd.tally.received, herd.tally.lost, herd.tally.in_flight) == (4, 0, 0)


def test_a_dropped_delivery_that_a_later_message_has_overtaken_is_lost_after_two_sweeps() -> None:
    herd = world(3)
    herd.send(herd.members[0])
    herd.handle(herd.members[0], drop_for=1)
    herd.send(herd.members[0])
    herd.settle_all()
    herd.room.sweep()
    assert (herd.tally.lost, herd.tally.in_flight) == (0, 1)
    herd.room.sweep()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost) == (4, 3, 1)


def test_a_dropped_delivery_that_nothing_follows_is_lost_after_two_sweeps() -> None:
    herd = world(3)
    herd.send(herd.members[0])
    herd.handle(herd.members[0], drop_for=0)
    herd.settle_all()
    herd.room.sweep()
    assert herd.tally.lost == 0
    herd.room.sweep()
    assert (herd.tally.lost, herd.tally.in_flight) == (1, 0)


def test_a_lost_delivery_that_comes_after_all_stays_lost_and_counts_as_late() -> None:
    herd = world(2)
    herd.send(herd.members[0])
    herd.room.sweep()
    herd.room.sweep()
    assert herd.tally.lost == 1
    herd.settle_all()
    assert (herd.tally.lost, herd.tally.received, herd.tally.late, herd.tally.reordered) == (1, 0, 1, 0)


def test_swapped_deliveries_are_reordered_and_not_lost() -> None:
    herd = world(2)
    for _ in range(2):
        herd.send(herd.members[0])
        herd.handle(herd.members[0])
    herd.members[1].inbox.reverse()
    herd.settle_all()
    assert (herd.tally.received, herd.tally.lost, herd.tally.reordered, herd.tally.duplicated) == (2, 0, 1, 0)


def test_a_second_copy_is_duplicated_and_not_received_twice() -> None:
    herd = world(2)
    herd.send(herd.members[0])
    herd.handle(herd.members[0], double_for=0)
    herd.settle_all()
    assert (herd.tally.expected, herd.tally.received, herd.tally.duplicated) == (1, 1, 1)


def test_an_echo_to_the_sender_and_a_number_never_sent_are_owed_to_nobody() -> None:
    herd = world(2)
    herd.send(herd.members[0])
    assert not herd.members[0].stay.receive(0, 0)
    assert not herd.members[1].stay.receive(0, 7)
    assert not herd.members[1].stay.receive(9, 0)
    assert (herd.tally.duplicated, herd.tally.received) == (3, 0)


def test_who_joins_while_messages_fly_is_owed_what_came_and_all_that_follows_it() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.handle(sender)
    newcomer.in_room = True
    herd.handle(sender)
    herd.read(newcomer)
    assert herd.tally.expected == 3 + 1
    newcomer.stay.settle()
    assert herd.tally.expected == 3 + 2
    herd.settle_all()
    assert (herd.tally.received, herd.tally.in_flight, herd.tally.lost) == (5, 0, 0)


def test_what_was_sent_before_a_join_and_came_after_its_confirmation_is_owed_too() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.handle(sender)
    herd.confirm(newcomer)
    assert herd.tally.expected == 3
    herd.settle_all()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost) == (5, 5, 0)


def test_a_delivery_dropped_after_the_first_one_of_a_newcomer_is_lost() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.confirm(newcomer)
    herd.handle(sender)
    herd.handle(sender, drop_for=1)
    herd.settle_all()
    assert (herd.tally.expected, herd.tally.received, herd.tally.in_flight) == (6, 5, 1)
    herd.room.close_books()
    assert herd.tally.lost == 1


def test_who_vanishes_is_not_owed_what_is_under_way_to_it() -> None:
    herd = world(3)
    herd.send(herd.members[0])
    herd.cut(herd.members[1])
    herd.settle_all()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost, herd.tally.churned) == (1, 1, 0, 1)


def test_what_nobody_received_of_a_vanished_sender_was_never_handled() -> None:
    herd = world(3)
    sender = herd.members[0]
    for _ in range(2):
        herd.send(sender)
    herd.handle(sender)
    herd.cut(sender)
    herd.settle_all()
    herd.room.sweep()
    herd.room.sweep()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost, herd.tally.churned) == (2, 2, 0, 2)


def test_what_one_received_of_a_vanished_sender_and_another_did_not_is_lost() -> None:
    herd = world(3)
    sender = herd.members[0]
    herd.send(sender)
    herd.handle(sender, drop_for=0)
    herd.cut(sender)
    herd.settle_all()
    herd.room.close_books()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost) == (2, 1, 1)


def test_a_newcomer_s_confirmation_does_not_prove_that_a_vanished_sender_was_handled() -> None:
    herd = world(2)
    sender = herd.members[0]
    herd.send(sender)
    herd.confirm(herd.join())
    herd.cut(sender)
    herd.room.close_books()
    assert (herd.tally.expected, herd.tally.lost, herd.tally.churned) == (0, 0, 1)


def test_who_leaves_politely_without_having_heard_a_message_it_waited_for_lost_it() -> None:
    herd = world(2)
    herd.send(herd.members[0])
    herd.handle(herd.members[0], drop_for=0)
    herd.leave(herd.members[1])
    assert (herd.tally.expected, herd.tally.lost, herd.tally.churned) == (1, 1, 0)


def test_a_slot_is_used_again_and_its_numbers_go_on() -> None:
    herd = world(3)
    gone = herd.members[0]
    herd.send(gone)
    herd.settle_all()
    herd.leave(gone)
    herd.room.sweep()
    herd.room.sweep()
    newcomer = herd.join()
    assert newcomer.stay.slot == gone.stay.slot
    herd.confirm(newcomer)
    herd.send(newcomer)
    herd.settle_all()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost, herd.tally.duplicated) == (4, 4, 0, 0)


def test_closing_the_books_makes_everything_under_way_lost() -> None:
    herd = world(4)
    herd.send(herd.members[0])
    herd.room.close_books()
    assert (herd.tally.expected, herd.tally.lost, herd.tally.in_flight) == (3, 3, 0)


steps = st.lists(
    st.tuples(
        st.sampled_from(["join", "confirm", "send", "send", "handle", "handle", "read", "leave", "cut", "sweep"]),
        st.integers(0, 7),
    ),
    max_size=120,
)


@given(steps)
@settings(max_examples=300)
def test_a_healthy_server_loses_nothing_whoever_comes_and_goes(script: list[tuple[str, int]]) -> None:
    herd = world(2)
    for what, who in script:
        _step(herd, what, who)
        assert balanced(herd.tally)
    herd.settle_all()
    herd.room.close_books()
    tally = herd.tally
    assert (tally.lost, tally.duplicated, tally.reordered, tally.in_flight) == (0, 0, 0, 0)
    assert tally.expected == tally.received


def _step(herd: World, what: str, who: int) -> None:
    """Do one step with one of the members, where it makes sense."""
    if what == "join" and len(herd.members) < 6:
        herd.join()
    elif what == "sweep":
        # Sweeps take longer than any delivery: all that is under way arrives between two of them.
        herd.settle_all()
        herd.room.sweep()
    elif herd.members:
        member = herd.members[who % len(herd.members)]
        if what == "confirm" and not member.in_room:
            member.in_room = True
        elif what == "confirm":
            herd.read(member)
            member.stay.settle()
        elif what == "send" and member.stay.settled:
            herd.send(member)
        elif what == "handle" and member.unhandled:
            herd.handle(member)
        elif what == "read":
            herd.read(member, who)
        elif what == "leave" and member.stay.settled:
            herd.leave(member)
        elif what == "cut":
            herd.cut(member)


@given(
    st.integers(2, 6),
    st.lists(
        st.tuples(
            st.integers(0, 5), st.sampled_from(["good", "good", "good", "drop", "double", "swap"]), st.integers(0, 4)
        ),
        max_size=80,
    ),
)
@settings(max_examples=300)
def test_faults_of_the_server_are_counted_one_by_one(members: int, script: list[tuple[int, str, int]]) -> None:
    herd = world(members)
    delivered = 0
    for who, fault, whom in script:
        sender = herd.members[who % members]
        victim = whom % (members - 1)
        herd.send(sender)
        herd.handle(
            sender,
            drop_for=victim if fault == "drop" else None,
            double_for=victim if fault == "double" else None,
        )
        delivered += members - 1 - (fault == "drop")
        if fault == "swap":
            for member in herd.members:
                member.inbox.reverse()
        for member in herd.members:
            herd.read(member, whom)
    herd.settle_all()
    herd.room.close_books()
    tally = herd.tally
    assert tally.expected == len(script) * (members - 1)
    assert tally.received == delivered
    assert tally.lost == herd.dropped
    assert tally.duplicated == herd.doubled


@given(st.lists(st.integers(0, 30), max_size=60))
def test_a_pair_is_classified_as_a_set_and_its_highest_number_would_say(numbers: list[int]) -> None:
    """Any sequence of deliveries of 31 messages, against the definition of each class."""
    herd = world(2)
    for _ in range(31):
        herd.send(herd.members[0])
    seen: set[int] = set()
    duplicated = reordered = 0
    for seq in numbers:
        herd.members[1].stay.receive(0, seq)
        if seq in seen:
            duplicated += 1
        elif seen and seq < max(seen):
            reordered += 1
        seen.add(seq)
    tally = herd.tally
    assert (tally.received, tally.duplicated, tally.reordered) == (len(seen), duplicated, reordered)
    assert tally.lost == 0
    herd.room.close_books()
    assert tally.lost == 31 - len(seen)


@given(st.lists(st.one_of(st.integers(0, 30), st.just("sweep")), max_size=80))
def test_lost_never_goes_down_and_every_delivery_is_counted_once_however_late(script: list[int | str]) -> None:
    herd = world(2)
    tally = herd.tally
    for _ in range(31):
        herd.send(herd.members[0])
    owed_in_time: set[int] = set()
    lost = 0
    for step in script:
        if isinstance(step, int):
            if herd.members[1].stay.receive(0, step):
                assert step not in owed_in_time
                owed_in_time.add(step)
        else:
            herd.room.sweep()
        assert tally.lost >= lost
        lost = tally.lost
        assert balanced(tally)
    herd.room.close_books()
    assert tally.received == len(owed_in_time)
    assert (tally.lost, tally.in_flight) == (31 - len(owed_in_time), 0)
