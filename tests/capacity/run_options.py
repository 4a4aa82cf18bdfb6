"""Options of real runs that need no certain load: two users, one process of the load generator, the shortest window."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capacity.fixtures import Run

USERS = "2"
QUICK = ("--room-size", "2", "--message-rate", "10", "--processes", "1", "--window", "1", "--settle", "1")
# For tests in which only noise could miss an SLO.
TOLERANT = (*QUICK, "--slo", "deliver_p99<60s")

MOST_RUNS = 3


def run_until(capacity: Callable[..., Run], code: int, *flags: str) -> Run:
    """Return a run with this exit code, which other load of the machine may prevent twice."""
    for _ in range(MOST_RUNS):
        run = capacity(*flags)
        if run.wait() == code:
            return run
    raise AssertionError(run.errors or run.report.answer.sentence)
