"""Measure a server under a chat load: rates, latencies, and the CPU time that the operating system reports.

Each round starts a fresh server process on one CPU and runs the driver on another. Compare ratios and CPU per delivery:
absolute figures depend on the machine. A round in which the driver was the limit is invalid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks.load.dialects import PLAIN
from benchmarks.load.driver import ChatLoad, ClientPool
from benchmarks.processes import pinned, running, separate_cpus, waited_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.load.dialects import ChatDialect
    from benchmarks.processes import Cpus

WARM_UP_SECONDS: Final = 1.0
DRIVER_LIMIT: Final = 0.95
"""Fraction of a CPU above which the driver, not the server, may have been the limit."""


@dataclass(frozen=True, slots=True)
class Round:
    """One server under load for one window; rates are per second, CPU is a fraction of one CPU.

    `server_kept_waiting` is the fraction of the window in which the server was runnable but other processes had its
    CPU. `problem` is the reason why the round is invalid; None for a valid one.
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
    name: str, command: Sequence[str], load: ChatLoad, seconds: float, cpus: Cpus, *, dialect: ChatDialect = PLAIN
) -> Round:
    """Start a server, offer it the load, and return the measured round.

    Args:
        name: name of the server, for the table.
        command: command that starts the server.
        load: the offered load.
        seconds: length of the window.
        cpus: one CPU for the server and one for the driver; None pins neither.
        dialect: the protocol that the clients use.

    Raises:
        BenchmarkError: the server did not start.
        OSError: it refused or closed connections.
    """
    marks: list[tuple[float, float]] = []
    with running(command, cpus[0] if cpus else None) as server, pinned(cpus[1] if cpus else None):
        process = psutil.Process(server.process.pid)

        def mark() -> None:
            used = process.cpu_times()
            marks.append((used.user + used.system, waited_seconds(process.pid)))

        with ClientPool(server.url, load, dialect=dialect) as pool:
            window = pool.run(WARM_UP_SECONDS, seconds, mark)
    used, waited = (end - start for start, end in zip(*marks, strict=True))
    return Round(
        server=name,
        offered_per_s=window.offered / window.seconds,
        sent_per_s=window.sent / window.seconds,
        deliveries_per_s=window.deliveries / window.seconds,
        server_cpu=used / window.seconds,
        server_kept_waiting=waited / window.seconds,
        cpu_us_per_delivery=used / window.deliveries * 1e6 if window.deliveries else None,
        latency_p50_ms=window.latency_ms(0.5),
        latency_p99_ms=window.latency_ms(0.99),
        driver_cpu=window.driver_share,
        problem=_problem(window.driver_share, window.deliveries, uniform=window.uniform),
    )


def _problem(driver_share: float, deliveries: int, *, uniform: bool) -> str | None:
    if driver_share > DRIVER_LIMIT:
        return f"the driver used {driver_share:.0%} of its CPU"
    if not uniform:
        return "deliveries differed in size"
    if not deliveries:
        return "nothing was delivered"
    return None


def run_rounds(
    servers: Mapping[str, Sequence[str]], load: ChatLoad, seconds: float, rounds: int, report: Callable[[Round], None]
) -> list[Round]:
    """Measure the servers in turn for several rounds; raises as `run_round` does."""
    cpus = separate_cpus()
    measured = []
    for _ in range(rounds):
        for name, command in servers.items():
            measured.append(run_round(name, command, load, seconds, cpus))
            report(measured[-1])
    return measured
