"""Options of real runs that need no certain load: two users, one process of the load generator, the shortest window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capacity.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capacity.fixtures import Run

USERS = "2"
QUICK = ("--room-size", "2", "--message-rate", "10", "--processes", "1", "--window", "1", "--settle", "1")
# For tests in which only noise could miss an SLO.
TOLERANT = (*QUICK, "--slo", "deliver_p99<60s")

MOST_RUNS = 3


def run_valid(capacity: Callable[..., Run], *flags: str) -> tuple[Run, int]:
    """Run until a run is valid, which other load of this machine may prevent; return the run and its exit code."""
    for _ in range(MOST_RUNS):
        run = capacity(*flags)
        code = run.wait()
        if code != ExitCode.INVALID:
            break
    return run, code
