"""A cheap watch over regressions: CPU per delivery of two servers that are loaded in turns, in one run.

Both are up all the time, on one core, and each turn is a fraction of a second: what else happens on the machine happens
to both. CPU seconds, not rates: a machine that is busy with something else takes longer, and counts the same.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks._driver import Herd
from benchmarks._turns import cpu_per_delivery, in_turns
from benchmarks.fanout import pinned, separate_cpus
from benchmarks.peers import running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks._driver import Load
    from benchmarks.roster import Server


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
        measures = [partial(cpu_per_delivery, herd, up) for herd, up in pairs]
        measured = in_turns(measures, seconds, turns)
    return [median(turn) for turn in zip(*measured, strict=True)]
