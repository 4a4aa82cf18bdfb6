"""Servers that are all up and are loaded in turns of a fraction of a second: what else happens, happens to each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from benchmarks.peers import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks._driver import Herd
    from benchmarks.peers import Running

T = TypeVar("T")

WARM_UP_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 0.1

_TRIES: Final = 20
"""Turns without a delivery until a server is given up: one that got no CPU for a whole turn is not dead."""


def in_turns(measures: Sequence[Callable[[float], T]], seconds: float, turns: int) -> list[list[T]]:
    """Let each measure warm up, then take turns, the other way round in every second one; return what came, by turn."""
    for measure in measures:
        measure(WARM_UP_SECONDS)
    taken = []
    for turn in range(turns):
        order = list(enumerate(measures))
        came = {index: measure(seconds) for index, measure in (order if turn % 2 else reversed(order))}
        taken.append([came[index] for index in range(len(measures))])
    return taken


def cpu_per_delivery(herd: Herd, server: Running, seconds: float) -> float:
    """Load a server for a while; return the CPU seconds of each delivery.

    Raises:
        PeerError: it delivered nothing.
    """
    (spent,) = spent_per_delivery(herd, seconds, lambda: (cpu_seconds(server.process.pid),))
    return spent


def spent_per_delivery(herd: Herd, seconds: float, spent: Callable[[], tuple[float, ...]]) -> list[float]:
    """Load a server for a while; return what each delivery took of all that `spent` tells.

    Raises:
        PeerError: it delivered nothing.
    """
    marks: list[tuple[float, ...]] = []
    for _ in range(_TRIES):
        tally = herd.run(SETTLE_SECONDS, seconds, lambda: marks.append(spent()))
        if tally.deliveries:
            return [(after - before) / tally.deliveries for before, after in zip(*marks[-2:], strict=True)]
    raise PeerError("nothing was delivered")


def cpu_seconds(*pids: int) -> float:
    """Return CPU seconds that all threads of some processes have used (Linux, sched-stats.rst)."""
    threads = (thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir())
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
