"""Measure fan-out: a server under a load, and what the operating system says it used meanwhile.

Servers take turns, each round with a fresh process on a CPU of its own, the driver on another. Compare ratios and CPU
per delivery; absolute figures belong to the machine. A round in which the driver was the limit is invalid.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks._driver import Herd, Load
from benchmarks._talk import PLAIN
from benchmarks.peers import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks._talk import Dialect

    Cpus = tuple[int, int] | None

WARM_UP_SECONDS: Final = 1.0
DRIVER_LIMIT: Final = 0.95
"""Share of a CPU above which the driver, not the server, may have been the limit."""


@dataclass(frozen=True, slots=True)
class Round:
    """One server under load for one window; rates per second, CPU as a share of one.

    `server_kept_waiting` is the share of the window in which it could have run but had no CPU, because others used it.
    `problem` says why the figures must not be used.
    """

    server: str
    offered_per_s: float
    sent_per_s: float
    deliveries_per_s: float
    server_cpu: float
    server_kept_waiting: float
    cpu_us_per_delivery: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    driver_cpu: float
    problem: str | None


def run_round(
    name: str, command: Sequence[str], load: Load, seconds: float, cpus: Cpus, *, dialect: Dialect = PLAIN
) -> Round:
    """Start a server, offer it the load, and return what was measured.

    Args:
        name: of the server, for the table.
        command: that starts it and says where it listens.
        load: what is offered.
        seconds: length of the window.
        cpus: one for the server, one for the driver; None pins nobody.
        dialect: what the clients speak.

    Raises:
        PeerError: the server did not start.
        OSError: it refused or closed connections.
    """
    marks: list[tuple[float, float]] = []
    with running(command, cpus[0] if cpus else None) as server, pinned(cpus[1] if cpus else None):
        process = psutil.Process(server.process.pid)

        def mark() -> None:
            used = process.cpu_times()
            marks.append((used.user + used.system, waited_seconds(process)))

        with Herd(server.url, load, dialect=dialect) as herd:
            tally = herd.run(WARM_UP_SECONDS, seconds, mark)
    used, waited = (end - start for start, end in zip(*marks, strict=True))
    return Round(
        server=name,
        offered_per_s=tally.offered / tally.seconds,
        sent_per_s=tally.sent / tally.seconds,
        deliveries_per_s=tally.deliveries / tally.seconds,
        server_cpu=used / tally.seconds,
        server_kept_waiting=waited / tally.seconds,
        cpu_us_per_delivery=used / tally.deliveries * 1e6 if tally.deliveries else None,
        latency_p50_ms=tally.latency_ms(0.5),
        latency_p99_ms=tally.latency_ms(0.99),
        driver_cpu=tally.driver_share,
        problem=_problem(tally.driver_share, tally.deliveries, uniform=tally.uniform),
    )


def waited_seconds(process: psutil.Process) -> float:
    """Return how long the main thread was ready to run without running (Linux, sched-stats.rst)."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9


def _problem(driver_share: float, deliveries: int, *, uniform: bool) -> str | None:
    if driver_share > DRIVER_LIMIT:
        return f"the driver used {driver_share:.0%} of its CPU"
    if not uniform:
        return "deliveries differed in size"
    if not deliveries:
        return "nothing was delivered"
    return None


def run_rounds(
    servers: Mapping[str, Sequence[str]], load: Load, seconds: float, rounds: int, report: Callable[[Round], None]
) -> list[Round]:
    """Measure the servers in turn, several times over; raises as `run_round` does."""
    cpus = separate_cpus()
    measured = []
    for _ in range(rounds):
        for name, command in servers.items():
            measured.append(run_round(name, command, load, seconds, cpus))
            report(measured[-1])
    return measured


def separate_cpus() -> Cpus:
    """Return a CPU for the server and one for the driver; None where there is only one for both."""
    available = sorted(os.sched_getaffinity(0))
    return (available[-1], available[0]) if len(available) > 1 else None


@contextmanager
def pinned(cpu: int | None) -> Iterator[None]:
    """Keep this thread on one CPU until the block ends."""
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
