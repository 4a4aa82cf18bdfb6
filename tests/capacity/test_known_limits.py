"""A server of another project with a known limit passes below the limit and fails above, for the right reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.accuracy.servers import LOAD, MESSAGE_RATE, SERVERS, Knob
from benchmarks.processes import BenchmarkError
from tests.metrics.fixtures import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capacity.fixtures import Run

FOREIGN = [name for name, server in SERVERS.items() if server.dialect]
MESSAGES_PER_S = 10
BELOW = round(0.4 * MESSAGES_PER_S / MESSAGE_RATE)
ABOVE = round(2 * MESSAGES_PER_S / MESSAGE_RATE)
MOST_RUNS = 3  # a busy machine makes a run invalid
# Above the limit half of the deliveries are late, so that a busy machine needs no SLO that it could miss below.
FLAGS = (*LOAD, "--processes", "1", "--window", "3", "--settle", "1", "--slo", "deliver_p99<60s")


@pytest.mark.parametrize("name", FOREIGN)
def test_a_rate_limit_is_found_and_not_taken_for_a_lack_of_cpu(capacity: Callable[..., Run], name: str) -> None:
    server = SERVERS[name]
    for _ in range(MOST_RUNS):
        try:
            with server.running(Knob.LIMIT, MESSAGES_PER_S) as url:
                run = capacity("--host", url, *server.dialect, "--steps", f"{BELOW},{ABOVE}", *FLAGS)
                assert run.wait() == 0, run.errors
        except BenchmarkError as problem:
            skip_or_fail(str(problem))
        if all(step.verdict != "invalid" for step in run.report.steps):
            break
    assert [(step.users, step.verdict) for step in run.report.steps] == [(BELOW, "pass"), (ABOVE, "fail")]
    assert run.report.answer.limited_by != "server CPU"
    assert (run.report.answer.supported_users, run.report.answer.first_failing_users) == (BELOW, ABOVE)
