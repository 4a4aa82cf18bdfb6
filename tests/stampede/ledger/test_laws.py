"""The rules of the ledger hold for any sequence of events."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stampede.ledger.server_model import ServerModel, balanced, model_with

steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["join", "confirm", "send", "send", "handle", "handle", "read", "leave", "disconnect", "sweep"]
        ),
        st.integers(0, 7),
    ),
    max_size=120,
)


@given(steps, st.booleans())
@settings(max_examples=300)
def test_a_healthy_server_loses_nothing_while_members_join_and_leave(
    script: list[tuple[str, int]], joins_by_delivery: bool
) -> None:
    model = model_with(2)
    model.joins_by_delivery = joins_by_delivery
    for what, who in script:
        step(model, what, who)
        assert balanced(model.counts)
    model.deliver_all()
    model.room.close_accounts()
    counts = model.counts
    assert (counts.lost, counts.duplicated, counts.reordered, counts.in_flight) == (0, 0, 0, 0)
    assert counts.expected == counts.received


def step(model: ServerModel, what: str, who: int, address: str = "") -> None:
    """Do one step with one of the members, if it is possible; a new member is connected to an address."""
    if what == "join" and len(model.members) < 6:
        model.join(address)
    elif what == "sweep":
        # The interval of sweeps is longer than any delivery: everything in flight arrives between two of them.
        model.deliver_all()
        model.sweep()
    elif model.members:
        member = model.members[who % len(model.members)]
        if what == "confirm" and not member.in_room:
            member.in_room = True
        elif what == "confirm":
            model.read(member)
            member.membership.confirm_join()
        elif what == "send" and member.membership.joined:
            model.send(member)
        elif what == "handle" and member.unhandled:
            model.handle(member)
        elif what == "read":
            model.read(member, who)
        elif what == "leave" and member.membership.joined:
            model.leave(member)
        elif what == "disconnect":
            model.disconnect(member)


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
    model = model_with(members)
    delivered = 0
    for who, fault, whom in script:
        sender = model.members[who % members]
        victim = whom % (members - 1)
        model.send(sender)
        model.handle(
            sender,
            drop_for=victim if fault == "drop" else None,
            duplicate_for=victim if fault == "double" else None,
        )
        delivered += members - 1 - (fault == "drop")
        if fault == "swap":
            for member in model.members:
                member.inbox.reverse()
        for member in model.members:
            model.read(member, whom)
    model.deliver_all()
    model.room.close_accounts()
    counts = model.counts
    assert counts.expected == len(script) * (members - 1)
    assert counts.received == delivered
    assert counts.lost == model.dropped
    assert counts.duplicated == model.duplicated


@given(st.lists(st.integers(0, 30), max_size=60))
def test_a_pair_ledger_classifies_deliveries_as_their_definitions_do(numbers: list[int]) -> None:
    """Any sequence of deliveries of 31 messages, against the definition of each class."""
    model = model_with(2)
    for _ in range(31):
        model.send(model.members[0])
    seen: set[int] = set()
    duplicated = reordered = 0
    for seq in numbers:
        model.members[1].membership.receive(0, seq)
        if seq in seen:
            duplicated += 1
        elif seen and seq < max(seen):
            reordered += 1
        seen.add(seq)
    counts = model.pairs.between("", "")
    assert (counts.received, counts.duplicated, counts.reordered) == (len(seen), duplicated, reordered)
    assert counts.lost == 0
    model.room.close_accounts()
    assert counts.lost == 31 - len(seen)


@given(st.lists(st.one_of(st.integers(0, 30), st.just("sweep")), max_size=80))
def test_lost_never_decreases_and_each_delivery_counts_once(script: list[int | str]) -> None:
    model = model_with(2)
    counts = model.pairs.between("", "")
    for _ in range(31):
        model.send(model.members[0])
    owed_in_time: set[int] = set()
    lost = 0
    for step in script:
        if isinstance(step, int):
            if model.members[1].membership.receive(0, step):
                assert step not in owed_in_time
                owed_in_time.add(step)
        else:
            model.sweep()
        assert counts.lost >= lost
        lost = counts.lost
        assert balanced(counts)
    model.room.close_accounts()
    assert counts.received == len(owed_in_time)
    assert (counts.lost, counts.in_flight) == (31 - len(owed_in_time), 0)
