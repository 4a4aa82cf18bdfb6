"""Regression test: the server uses much less CPU per delivery than Node `ws`, measured in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.comparison.servers import NODE_WS, OURS, SERVERS
from benchmarks.costs.regression import costs
from benchmarks.load.driver import ChatLoad

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("plain_peer_command")


# A delivery costs Node the same at any rate, so Node gets a rate that it can sustain. Our server joins the messages of
# an event loop iteration, so it gets a high rate. The floors are about a sixth, and two thirds, of the usual ratios.
@pytest.mark.parametrize(
    ("ours", "theirs", "floor"),
    [
        pytest.param(ChatLoad(200, 2, 8000), ChatLoad(200, 2, 300), 7.0, id="big rooms, usually 40"),
        pytest.param(ChatLoad(200, 100, 4000), ChatLoad(200, 100, 4000), 0.8, id="rooms of two, usually 1.2"),
    ],
)
def test_a_delivery_costs_less_than_on_node(
    ours: ChatLoad, theirs: ChatLoad, floor: float, record_property: Callable[[str, object], None]
) -> None:
    our_cost, their_cost = costs([(SERVERS[OURS], ours), (SERVERS[NODE_WS], theirs)], 0.3, 7)
    ratio = their_cost / our_cost
    record_property("proved", f"a delivery in {ours.rooms} rooms costs Node ws {ratio:.2f} times our CPU")
    assert ratio >= floor
