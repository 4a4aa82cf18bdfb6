"""Regression test: the server uses much less CPU per delivery than Node `ws`, measured in one run.

All servers run all the time on one core, and each turn is a fraction of a second. So other work on the machine affects
them alike. CPU seconds are compared, not rates: on a busy machine they stay the same.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest

from benchmarks.comparison.servers import NODE_WS, OURS, SERVERS
from benchmarks.interleaving import cpu_per_delivery, interleave
from benchmarks.load.driver import ChatLoad, ClientPool
from benchmarks.processes import pinned, running, separate_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.comparison.servers import Server

pytestmark = pytest.mark.usefixtures("plain_peer_command")


def costs(servers: Sequence[tuple[Server, ChatLoad]], seconds: float, turns: int) -> list[float]:
    """Return the CPU seconds per delivery of each server under its load: the median of the turns."""
    with ExitStack() as stack:
        cpus = separate_cpus()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        started = [stack.enter_context(running(s.command(folder), cpus[0] if cpus else None)) for s, _ in servers]
        stack.enter_context(pinned(cpus[1] if cpus else None))
        pairs = [
            (stack.enter_context(ClientPool(up.url, load, dialect=server.dialect)), up)
            for up, (server, load) in zip(started, servers, strict=True)
        ]
        measures = [partial(cpu_per_delivery, pool, up) for pool, up in pairs]
        measured = interleave(measures, seconds, turns)
    return [median(turn) for turn in zip(*measured, strict=True)]


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
