"""A cheap watch over regressions: CPU per delivery of two servers that are loaded in turns, in one run.

Both are up all the time, on one core, and each turn is a fraction of a second: what else happens on the machine happens
to both. CPU seconds, not rates: a machine that is busy with something else takes longer, and counts the same.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks._driver import Herd
from benchmarks.fanout import pinned, separate_cpus
from benchmarks.peers import PeerError, running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks._driver import Load
    from benchmarks.peers import Running
    from benchmarks.roster import Server

WARM_UP_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 0.05


def costs(servers: Sequence[tuple[Server, Load]], seconds: float, turns: int) -> list[float]:
    """Return CPU seconds per delivery for each server under its load: the median of the turns.

    Raises:
        PeerError: a server did not start, or delivered nothing.
        OSError: it refused or closed connections.
    """
    with ExitStack() as stack:
        cpus = separate_cpus()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        started = [stack.enter_context(running(s.command(folder), cpus[0] if cpus else None)) for s, _ in servers]
        stack.enter_context(pinned(cpus[1] if cpus else None))
        pairs = [
            (stack.enter_context(Herd(up.url, load, dialect=server.dialect)), up)
            for up, (server, load) in zip(started, servers, strict=True)
        ]
        for herd, up in pairs:
            _cpu_per_delivery(herd, up, WARM_UP_SECONDS)
        measured = [[_cpu_per_delivery(herd, up, seconds) for herd, up in pairs] for _ in range(turns)]
    return [median(turn) for turn in zip(*measured, strict=True)]


def _cpu_per_delivery(herd: Herd, server: Running, seconds: float) -> float:
    marks: list[int] = []
    tally = herd.run(SETTLE_SECONDS, seconds, lambda: marks.append(_cpu_ns(server.process.pid)))
    if not tally.deliveries:
        raise PeerError("nothing was delivered")
    return (marks[1] - marks[0]) / tally.deliveries / 1e9


def _cpu_ns(process: int) -> int:
    """Return the CPU time of a process's threads in ns (Linux, sched-stats.rst)."""
    threads = Path(f"/proc/{process}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
