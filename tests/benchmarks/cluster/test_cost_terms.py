"""The cost terms of a cluster: the fit finds known terms, and the counts are those of the load."""

from __future__ import annotations

import os
import random

import pytest

from benchmarks.cluster.cost_terms import NODE_TERMS, Clients, Scenario, count, fit, predicted, typical
from benchmarks.cluster.nats import entry_bytes, nats
from benchmarks.load.driver import ChatLoad

COSTS = dict(zip(NODE_TERMS, (900.0, 20.0, 150.0, 5.0, 25.0, 0.0, 30.0, 70.0), strict=True))


def test_the_fit_finds_the_terms_that_made_the_rows() -> None:
    dice = random.Random(1)
    rows: list[dict[str, object]] = []
    for _ in range(20):
        row: dict[str, object] = {term: dice.randrange(10_000) for term in NODE_TERMS}
        rows.append({**row, "cpu": predicted(row, COSTS)})
    assert fit(rows, NODE_TERMS) == pytest.approx(COSTS, abs=0.01)


def test_windows_disturbed_by_other_work_do_not_count() -> None:
    def window(cpu: float, bus_cpu: float) -> list[dict[str, object]]:
        return [{"node": 0, "cpu": cpu, "message": 100}, {"node": "nats", "cpu": bus_cpu, "in": 100}]

    one, bus = typical([window(9.0, 1.0), window(1.0, 1.1), window(0.1, 7.0), window(1.2, 0.2), window(1.1, 1.2)])
    assert (one["cpu"], bus["cpu"]) == (1.1, 1.1)


def test_the_events_of_two_nodes_are_counted_at_the_right_node() -> None:
    groups = (Clients(0, ChatLoad(20, 2, 200)), Clients(1, ChatLoad(20, 2, 0)))
    one, two, bus = typical(count(Scenario("test", 2, groups), 3, 0.3))
    assert float(str(one["message"])) > 0
    assert one["received"] == two["message"] == 0
    # Each message is written to nine members on the first node, sent to the bus once, and written to ten on the second
    # node. Messages that arrive in one event loop iteration are written together.
    assert float(str(one["write"])) == pytest.approx(9 * float(str(one["message"])), rel=0.2)
    assert float(str(two["write"])) >= 0.8 * 10 * float(str(two["received"])) > 0
    assert all(float(str(row["cpu"])) > 0 for row in (one, two, bus))
    assert float(str(bus["in_bytes"])) > 100 * float(str(bus["in"])) > 0


def test_a_bus_has_an_address_and_ends_with_the_block() -> None:
    with nats(max(os.sched_getaffinity(0))) as running:
        assert running.url.startswith("nats://127.0.0.1:")
    assert not os.path.exists(f"/proc/{running.pid}")  # noqa: PTH110 - one word


def test_a_room_on_another_node_takes_little_memory() -> None:
    assert 40 < entry_bytes() < 200
