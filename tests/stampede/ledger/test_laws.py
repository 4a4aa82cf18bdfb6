"""The laws of the ledger under any script of events."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stampede.ledger.ledger_world import World, balanced, world

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
    herd.room.close_accounts()
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
            member.membership.confirm_join()
        elif what == "send" and member.membership.joined:
            herd.send(member)
        elif what == "handle" and member.unhandled:
            herd.handle(member)
        elif what == "read":
            herd.read(member, who)
        elif what == "leave" and member.membership.joined:
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
    herd.room.close_accounts()
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
        herd.members[1].membership.receive(0, seq)
        if seq in seen:
            duplicated += 1
        elif seen and seq < max(seen):
            reordered += 1
        seen.add(seq)
    tally = herd.tally
    assert (tally.received, tally.duplicated, tally.reordered) == (len(seen), duplicated, reordered)
    assert tally.lost == 0
    herd.room.close_accounts()
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
            if herd.members[1].membership.receive(0, step):
                assert step not in owed_in_time
                owed_in_time.add(step)
        else:
            herd.room.sweep()
        assert tally.lost >= lost
        lost = tally.lost
        assert balanced(tally)
    herd.room.close_accounts()
    assert tally.received == len(owed_in_time)
    assert (tally.lost, tally.in_flight) == (31 - len(owed_in_time), 0)
