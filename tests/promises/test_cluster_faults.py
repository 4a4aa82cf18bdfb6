"""Faults of real processes under load: no process hangs, health and presence are correct, losses are counted.

The limits are generous for a busy machine; `python -m tests.promises.cluster_faults` prints the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import skip_or_fail
from tests.promises.cluster_faults import IN_NAMESPACES, run_fault
from tests.promises.hosts import problem

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = {
    "nats_killed": 4.0,
    "nats_paused": 4.0,
    "node_killed": 1.0,
    "node_stopped": 5.0,
    "node_slow": 4.0,
    "node_cut_off": 8.0,  # until connections are replaced
}
LIMIT_SECONDS = 30.0


@pytest.mark.parametrize("fault", SECONDS)
def test_the_cluster_recovers_from_a_fault_and_counts_what_was_lost(
    fault: str, record_property: Callable[[str, object], None]
) -> None:
    if fault in IN_NAMESPACES and (why := problem()):
        skip_or_fail(why)
    outcome = run_fault(fault, SECONDS[fault])
    record_property("proved", str(outcome))
    assert outcome.is_accounted_for, outcome
    assert all(seconds < LIMIT_SECONDS for seconds in outcome.times if seconds is not None)
    match fault:
        case "nats_killed" | "nats_paused":
            assert outcome.missing > 0
        case "node_slow":
            assert outcome.typing > outcome.missing
