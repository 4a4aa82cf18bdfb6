"""Deliveries that are read together count as those that are read one by one."""

from __future__ import annotations

from dataclasses import astuple

from hypothesis import given
from hypothesis import strategies as st

from tests.stampede.ledger.server_model import ServerModel, model_with

arrivals = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11)), max_size=60)


def sent(confirmed: bool) -> ServerModel:
    """Return a room of three senders with ten messages each, and a fourth member that receives."""
    model = model_with(3)
    receiver = model.join()
    if confirmed:
        model.confirm(receiver)
    for _ in range(10):
        for sender in model.members[:3]:
            model.send(sender)
    return model


@given(arrivals, st.integers(1, 7), st.booleans())
def test_a_batch_counts_as_its_deliveries_do_one_by_one(
    found: list[tuple[int, int]], size: int, confirmed: bool
) -> None:
    single, batched = sent(confirmed), sent(confirmed)
    one, other = single.members[3].membership, batched.members[3].membership
    for slot, seq in found:
        one.receive(slot, seq)
    for start in range(0, len(found), size):
        other.receive_batch([(0, 0, 0, 0, slot, seq) for slot, seq in found[start : start + size]])
    assert astuple(single.counts) == astuple(batched.counts)
    single.room.close_accounts()
    batched.room.close_accounts()
    assert astuple(single.counts) == astuple(batched.counts)
