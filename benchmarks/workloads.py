"""What is measured, as a table: each workload, the figures that it gives, and the ratios that we want to reach."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks._crowd import Crowd, files_for
from benchmarks._driver import Load
from benchmarks._uploads import FILE_BYTES, Uploaders
from benchmarks.fanout import DRIVER_LIMIT, WARM_UP_SECONDS, pinned, run_round
from benchmarks.peers import running
from benchmarks.roster import BEST, OURS, USUAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.fanout import Cpus
    from benchmarks.roster import Server

    Measured = tuple[dict[str, float], str | None]
    Measure = Callable[[Server, float, Cpus], Measured]

CROWD: Final = 10_000
UPLOADERS: Final = 16
SETTLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        title: what was done, and what was counted.
        figure: its name in the results.
        unit: of the figure, as people read it; `scale` and `form` bring it there.
        less: whether less is better.
        goals: by server, the ratio of ours over its that we want: at least, or at most where less is better; for our
            own key the figure itself.
    """

    title: str
    figure: str
    unit: str
    form: str = ",.0f"
    scale: float = 1.0
    less: bool = False
    goals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workload:
    """A way to measure a server, and what is told of it; `only` names the servers that can do it."""

    key: str
    rows: tuple[Row, ...]
    measure: Measure
    only: tuple[str, ...] = ()


def _chat(load: Load) -> Measure:
    """Return the measure of a server under a load of the driver."""

    def measure(server: Server, seconds: float, cpus: Cpus) -> Measured:
        files_for(load.clients)
        with tempfile.TemporaryDirectory() as folder:
            done = run_round(server.key, server.command(Path(folder)), load, seconds, cpus, dialect=server.dialect)
        figures = {
            name: value for name, value in asdict(done).items() if isinstance(value, int | float) and value is not None
        }
        if done.cpu_us_per_delivery:
            figures["per_cpu_s"] = 1e6 / done.cpu_us_per_delivery
        return figures, done.problem

    return measure


def _crowd(server: Server, _seconds: float, cpus: Cpus) -> Measured:
    files_for(CROWD)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(server.command(Path(folder)), cpus[0] if cpus else None) as started,
        pinned(cpus[1] if cpus else None),
    ):
        process = psutil.Process(started.process.pid)
        time.sleep(SETTLE_SECONDS)
        empty, cpu = process.memory_info().rss, _cpu_seconds(process)
        with Crowd(started.url, CROWD, server.dialect) as crowd:
            used = _cpu_seconds(process) - cpu
            time.sleep(SETTLE_SECONDS)
            full = process.memory_info().rss
    share = crowd.driver_cpu / crowd.seconds
    figures = {
        "connects_per_s": CROWD / crowd.seconds,
        "connects_per_cpu_s": CROWD / used,
        "rss_bytes_each": (full - empty) / CROWD,
        "driver_cpu": share,
    }
    return figures, f"the driver used {share:.0%} of its CPU" if share > DRIVER_LIMIT else None


def _uploads(server: Server, seconds: float, cpus: Cpus) -> Measured:
    with (
        tempfile.TemporaryDirectory() as folder,
        running(server.command(Path(folder)), cpus[0] if cpus else None) as started,
        pinned(cpus[1] if cpus else None),
    ):
        process = psutil.Process(started.process.pid)
        marks: list[float] = []
        files, elapsed = Uploaders(started.url, UPLOADERS).run(
            WARM_UP_SECONDS, seconds, lambda: marks.append(_cpu_seconds(process))
        )
    figures = {
        "files_per_s": files / elapsed,
        "bytes_per_s": files * FILE_BYTES / elapsed,
        "server_cpu": (marks[1] - marks[0]) / elapsed,
    }
    return figures, None if files else "nothing was stored"


def _cpu_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


_RATE = "deliveries_per_s"
_COST = "per_cpu_s"

WORKLOADS: Final = {
    workload.key: workload
    for workload in (
        Workload(
            "big",
            (Row("Big rooms, saturated: 200 clients in 2", _RATE, "deliveries/s", goals={BEST: 1.0, USUAL: 20.0}),),
            _chat(Load(200, 2, 80_000, batch=8)),
        ),
        Workload(
            "medium",
            (
                Row(
                    "Medium rooms, saturated: 1 000 clients in 20",
                    _RATE,
                    "deliveries/s",
                    goals={BEST: 1.0, USUAL: 12.0},
                ),
            ),
            _chat(Load(1000, 20, 100_000, batch=8)),
        ),
        Workload(
            "huge",
            (Row("One room of 5 000, saturated", _RATE, "deliveries/s"),),
            _chat(Load(5000, 1, 1200, sweep=0.01)),
        ),
        Workload(
            "tens",
            (
                Row(
                    "Rooms of ten: 200 clients in 20",
                    _COST,
                    "deliveries per CPU second",
                    goals={BEST: 0.75, USUAL: 1.3},
                ),
            ),
            _chat(Load(200, 20, 2500)),
        ),
        Workload(
            "pairs",
            (
                Row(
                    "Rooms of two: 200 clients in 100",
                    _COST,
                    "deliveries per CPU second",
                    goals={BEST: 0.75, USUAL: 1.3},
                ),
            ),
            _chat(Load(200, 100, 15_000)),
        ),
        Workload(
            "latency",
            (
                Row("50 000 deliveries/s in big rooms: p50", "latency_p50_ms", "ms", ".2f", less=True),
                Row("the same: p99", "latency_p99_ms", "ms", ".2f", less=True, goals={BEST: 1.0}),
            ),
            _chat(Load(200, 2, 505, audit=True)),
        ),
        Workload(
            "pings",
            (
                Row("Ping round trips, 5 000/s of 200 clients", _COST, "round trips per CPU second"),
                Row("the same: p99", "latency_p99_ms", "ms", ".2f", less=True),
            ),
            _chat(Load(200, 100, 5000, audit=True, pings=True)),
        ),
        Workload(
            "crowd",
            (
                Row("Connect storm of 10 000", "connects_per_s", "connects/s", goals={USUAL: 4.0}),
                Row(
                    "10 000 idle connections",
                    "rss_bytes_each",
                    "KB RSS each",
                    ".1f",
                    1 / 1024,
                    less=True,
                    goals={OURS: 7.0},
                ),
            ),
            _crowd,
        ),
        Workload(
            "uploads",
            (Row("Files of 64 KiB stored, 16 uploaders", "files_per_s", "files/s"),),
            _uploads,
            only=(OURS,),
        ),
    )
}
