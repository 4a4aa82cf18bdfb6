"""Load Stampede, Bun and Node `ws` in turns, each in a fresh process, and compare their figures within each round."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, TypeVar

from benchmarks.comparison.servers import BUN, NODE_WS, OURS, SERVERS
from benchmarks.processes import BenchmarkError, cpu_seconds, pinned, running, separate_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

COMPARED: Final = (OURS, BUN, NODE_WS)

_T = TypeVar("_T")


def loaded(key: str, command: Callable[[str], Sequence[str]]) -> tuple[str, float]:
    """Run a command against a fresh server; server and command have separate CPUs if there are two.

    Args:
        key: names the server.
        command: returns the command, given the server's URL.

    Returns:
        The output of the command, and the CPU seconds that the server used meanwhile.

    Raises:
        BenchmarkError: the server did not start, or the command failed.
    """
    cpus = separate_cpus()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(SERVERS[key].command(Path(folder)), cpus[0] if cpus else None) as server,
        pinned(cpus[1] if cpus else None),
    ):
        words = command(server.url)
        before = cpu_seconds(server.process.pid)
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
        if done.returncode:
            raise BenchmarkError(f"{SERVERS[key].title}: {done.stderr.strip()}")
        return done.stdout, cpu_seconds(server.process.pid) - before


def in_turns(rounds: int, measure: Callable[[str], _T]) -> dict[str, list[_T]]:
    """Measure the compared servers in turns; return the measurements of each by its key."""
    found: dict[str, list[_T]] = {key: [] for key in COMPARED}
    for _ in range(rounds):
        for key in COMPARED:
            found[key].append(measure(key))
    return found


def ratio(ours: Iterable[float], others: Iterable[float]) -> str:
    """Return the median ratio of our figure to another server's in the same round, with the lowest and the highest."""
    ratios = sorted(mine / theirs for mine, theirs in zip(ours, others, strict=True))
    return f"{median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
