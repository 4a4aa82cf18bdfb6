"""Ways to measure a server: a chat load, a connect storm, uploads."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks.comparison.fanout import DRIVER_LIMIT, WARM_UP_SECONDS, run_round
from benchmarks.load.connect_storm import ConnectStorm, raise_open_file_limit
from benchmarks.load.uploads import UploadLoad
from benchmarks.processes import pinned, running, waited_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.comparison.servers import Server
    from benchmarks.load.driver import ChatLoad
    from benchmarks.processes import Cpus

    Measured = tuple[dict[str, float], str | None]
    Measure = Callable[[Server, float, Cpus], Measured]
    """Measures a server, given the seconds of a window and the CPUs.

    Returns figures by name, and the reason why they are invalid, or None.


    Raises BenchmarkError if the server does not start, and OSError if it refuses or closes connections.
    """

SETTLE_SECONDS: Final = 1.0
WAITING_LIMIT: Final = 0.9
"""Fraction of a window without a CPU above which a throughput measurement is invalid."""
LATENCY_WAITING_LIMIT: Final = 0.1
"""The same for a latency measurement."""


def chat(load: ChatLoad, waiting_limit: float = WAITING_LIMIT) -> Measure:
    """Return the measure of a server under a chat load.

    `granted_per_s` is the rate without the time in which other processes had the server's CPU.
    """

    def measure(server: Server, seconds: float, cpus: Cpus) -> Measured:
        raise_open_file_limit(load.clients)
        with tempfile.TemporaryDirectory() as folder:
            done = run_round(server.key, server.command(Path(folder)), load, seconds, cpus, dialect=server.dialect)
        figures = {name: value for name, value in asdict(done).items() if isinstance(value, int | float)}
        if done.cpu_us_per_delivery:
            figures["per_cpu_s"] = 1e6 / done.cpu_us_per_delivery
        figures["granted_per_s"] = done.deliveries_per_s / max(1 - done.server_kept_waiting, 0.01)
        problem = done.problem
        if problem is None and done.server_kept_waiting > waiting_limit:
            problem = f"other processes used its CPU for {done.server_kept_waiting:.0%} of the time"
        return figures, problem

    return measure


def connect_storm(clients: int) -> Measure:
    """Return the measure of a connect storm of so many clients, and of their idle memory."""

    def measure(server: Server, _seconds: float, cpus: Cpus) -> Measured:
        raise_open_file_limit(clients)
        with _started(server, cpus) as (url, process):
            time.sleep(SETTLE_SECONDS)
            empty, cpu, waited = process.memory_info().rss, _cpu_seconds(process), waited_seconds(process.pid)
            with ConnectStorm(url, clients, server.dialect) as connected:
                used, waited = _cpu_seconds(process) - cpu, waited_seconds(process.pid) - waited
                time.sleep(SETTLE_SECONDS)
                full = process.memory_info().rss
        share = connected.driver_cpu / connected.seconds
        figures = {
            "connects_per_s": clients / max(connected.seconds - waited, 0.01),
            "server_kept_waiting": waited / connected.seconds,
            "connects_per_cpu_s": clients / max(used, 0.01),
            "rss_bytes_each": (full - empty) / clients,
            "driver_cpu": share,
        }
        return figures, f"the driver used {share:.0%} of its CPU" if share > DRIVER_LIMIT else None

    return measure


def uploads(uploaders: int) -> Measure:
    """Return the measure of uploads by so many clients, each one file at a time."""

    def measure(server: Server, seconds: float, cpus: Cpus) -> Measured:
        marks: list[float] = []
        with _started(server, cpus) as (url, process):
            files, elapsed = UploadLoad(url, uploaders).run(
                WARM_UP_SECONDS, seconds, lambda: marks.append(_cpu_seconds(process))
            )
        figures = {"files_per_s": files / elapsed, "server_cpu": (marks[1] - marks[0]) / elapsed}
        return figures, None if files else "nothing was stored"

    return measure


@contextmanager
def _started(server: Server, cpus: Cpus) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server, pin the driver to the other CPU, and yield the server's URL and process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(server.command(Path(folder)), cpus[0] if cpus else None) as started,
        pinned(cpus[1] if cpus else None),
    ):
        yield started.url, psutil.Process(started.process.pid)


def _cpu_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system
