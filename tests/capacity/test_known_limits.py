"""Servers of other projects with a known limit pass below it and fail above it, for the right reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.accuracy.servers import SERVERS, LimitKind
from benchmarks.processes import BenchmarkError
from tests.metrics.fixtures import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capacity.fixtures import Run

FOREIGN = [name for name, server in SERVERS.items() if server.dialect]
MESSAGES_PER_S, RATE = 40, 4
BELOW, ABOVE = 4, 20  # 40 and 200 % of the limit
# A busy machine makes a run invalid, lets the server wait for a core, or fills the listen queue of another server: that
# counter is one for all.
MOST_RUNS = 3
NO_LACK = "none of the observed resources (server CPU "
LOAD = ("--room-size", "2", "--message-rate", str(RATE), "--processes", "1", "--server-pid", "auto")
# Above the limit the backlog grows by half a second each second. The SLO tolerates a generator lag of 500 ms.
STEPS = ("--steps", f"{BELOW},{ABOVE}", "--window", "3", "--settle", "1", "--slo", "deliver_p99<2s")


@pytest.mark.parametrize("name", FOREIGN)
def test_a_rate_limit_is_found_and_not_taken_for_a_lack_of_cpu(capacity: Callable[..., Run], name: str) -> None:
    server = SERVERS[name]
    for _ in range(MOST_RUNS):
        try:
            with server.running(LimitKind.RATE, MESSAGES_PER_S) as url:
                run = capacity("--host", url, *server.dialect, *LOAD, *STEPS)
                assert run.wait() == 0, run.errors
        except BenchmarkError as problem:
            skip_or_fail(str(problem))
        answer = run.report.answer
        is_found = (answer.supported_users, answer.first_failing_users) == (BELOW, ABOVE)
        if is_found and (answer.bottleneck or "").startswith(NO_LACK):
            break
    assert (answer.supported_users, answer.first_failing_users) == (BELOW, ABOVE), run.report.steps
    assert (answer.bottleneck or "").startswith(NO_LACK), answer.sentence
    assert answer.bottleneck_observable
