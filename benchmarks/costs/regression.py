"""A cheap regression check: the CPU per delivery of several servers, loaded in alternating turns in one run.

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

from benchmarks.interleaving import cpu_per_delivery, interleave
from benchmarks.load.driver import ClientPool
from benchmarks.processes import pinned, running, separate_cpus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.comparison.servers import Server
    from benchmarks.load.driver import ChatLoad


def costs(servers: Sequence[tuple[Server, ChatLoad]], seconds: float, turns: int) -> list[float]:
    """Return the CPU seconds per delivery of each server under its load: the median of the turns.

    Raises:
        BenchmarkError: a server did not start, or delivered nothing.
        OSError: it refused or closed connections.
    """
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
