"""Ways to measure a server: under a chat load, with a crowd coming in, with uploads."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks._crowd import Crowd, files_for
from benchmarks._uploads import Uploaders
from benchmarks.fanout import DRIVER_LIMIT, WARM_UP_SECONDS, pinned, run_round, waited_seconds
from benchmarks.peers import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks._driver import Load
    from benchmarks.fanout import Cpus
    from benchmarks.roster import Server

    Measured = tuple[dict[str, float], str | None]
    Measure = Callable[[Server, float, Cpus], Measured]
    """Takes a server, the length of a window in seconds, and the CPUs; gives figures by name, and why not to use them.

    It raises PeerError where the server does not start, and OSError where it refuses or closes connections.
    """

SETTLE_SECONDS: Final = 1.0
WAITING_LIMIT: Final = 0.9
"""Share of a window without a CPU, because others used it, above which a server could not show what it can do."""
PUNCTUAL: Final = 0.1
"""The same where latency counts."""


def chat(load: Load, waiting_limit: float = WAITING_LIMIT) -> Measure:
    """Return the measure of a server under a load of the driver.

    A rate is told of the time in which the server had its CPU, or did not want it: what others took is taken off.
    """

    def measure(server: Server, seconds: float, cpus: Cpus) -> Measured:
        files_for(load.clients)
        with tempfile.TemporaryDirectory() as folder:
            done = run_round(server.key, server.command(Path(folder)), load, seconds, cpus, dialect=server.dialect)
        figures = {name: value for name, value in asdict(done).items() if isinstance(value, int | float)}
        if done.cpu_us_per_delivery:
            figures["per_cpu_s"] = 1e6 / done.cpu_us_per_delivery
        figures["granted_per_s"] = done.deliveries_per_s / max(1 - done.server_kept_waiting, 0.01)
        problem = done.problem
        if problem is None and done.server_kept_waiting > waiting_limit:
            problem = f"others used its CPU for {done.server_kept_waiting:.0%} of the time"
        return figures, problem

    return measure


def crowd(clients: int) -> Measure:
    """Return the measure of a server that so many clients connect to, and stay."""

    def measure(server: Server, _seconds: float, cpus: Cpus) -> Measured:
        files_for(clients)
        with _started(server, cpus) as (url, process):
            time.sleep(SETTLE_SECONDS)
            empty, cpu, waited = process.memory_info().rss, _cpu_seconds(process), waited_seconds(process)
            with Crowd(url, clients, server.dialect) as here:
                used, waited = _cpu_seconds(process) - cpu, waited_seconds(process) - waited
                time.sleep(SETTLE_SECONDS)
                full = process.memory_info().rss
        share = here.driver_cpu / here.seconds
        figures = {
            "connects_per_s": clients / max(here.seconds - waited, 0.01),
            "server_kept_waiting": waited / here.seconds,
            "connects_per_cpu_s": clients / max(used, 0.01),
            "rss_bytes_each": (full - empty) / clients,
            "driver_cpu": share,
        }
        return figures, f"the driver used {share:.0%} of its CPU" if share > DRIVER_LIMIT else None

    return measure


def uploads(uploaders: int) -> Measure:
    """Return the measure of a server that so many clients send one file after the other."""

    def measure(server: Server, seconds: float, cpus: Cpus) -> Measured:
        marks: list[float] = []
        with _started(server, cpus) as (url, process):
            files, elapsed = Uploaders(url, uploaders).run(
                WARM_UP_SECONDS, seconds, lambda: marks.append(_cpu_seconds(process))
            )
        figures = {"files_per_s": files / elapsed, "server_cpu": (marks[1] - marks[0]) / elapsed}
        return figures, None if files else "nothing was stored"

    return measure


@contextmanager
def _started(server: Server, cpus: Cpus) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server and go to the other CPU; give its URL and process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(server.command(Path(folder)), cpus[0] if cpus else None) as started,
        pinned(cpus[1] if cpus else None),
    ):
        yield started.url, psutil.Process(started.process.pid)


def _cpu_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system
