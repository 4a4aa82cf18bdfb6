"""Load running servers in short alternating turns, so that other work on the machine affects all of them alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from benchmarks.processes import BenchmarkError, cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.load.driver import ClientPool
    from benchmarks.processes import ServerProcess

T = TypeVar("T")

WARM_UP_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 0.1

_TRIES: Final = 20
"""Turns without a delivery until a measurement fails: in a single one the server may have had no CPU."""


def interleave(measures: Sequence[Callable[[float], T]], seconds: float, turns: int) -> list[list[T]]:
    """Call each measure once as warm-up, then in alternating order for so many turns.

    Returns:
        One list for each turn, with the results in the order of `measures`.
    """
    for measure in measures:
        measure(WARM_UP_SECONDS)
    results = []
    for turn in range(turns):
        order = list(enumerate(measures))
        by_index = {index: measure(seconds) for index, measure in (order if turn % 2 else reversed(order))}
        results.append([by_index[index] for index in range(len(measures))])
    return results


def cpu_per_delivery(pool: ClientPool, server: ServerProcess, seconds: float) -> float:
    """Load a server and return its CPU seconds per delivery.

    Raises:
        BenchmarkError: the server delivered nothing.
    """
    (used,) = used_per_delivery(pool, seconds, lambda: (cpu_seconds(server.process.pid),))
    return used


def used_per_delivery(pool: ClientPool, seconds: float, used: Callable[[], tuple[float, ...]]) -> list[float]:
    """Load a server and return the growth of each value of `used` per delivery.

    Raises:
        BenchmarkError: the server delivered nothing.
    """
    marks: list[tuple[float, ...]] = []
    for _ in range(_TRIES):
        window = pool.run(SETTLE_SECONDS, seconds, lambda: marks.append(used()))
        if window.deliveries:
            return [(after - before) / window.deliveries for before, after in zip(*marks[-2:], strict=True)]
    raise BenchmarkError("nothing was delivered")
