"""The table of workloads: how each is measured, its figures, and the goals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from benchmarks.comparison.measures import LATENCY_WAITING_LIMIT, chat, connect_storm, uploads
from benchmarks.comparison.servers import BUN, NODE_WS, OURS
from benchmarks.load.driver import ChatLoad

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.comparison.measures import Measure


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the results table.

    Attributes:
        title: text of the first column.
        figure: name of the figure in the results.
        unit: unit in the table; `scale` converts the figure to it.
        form: format of the number.
        less: whether less is better.
        chart: title in the chart; empty to leave the row out.
        goals: by server, the wanted ratio of our figure to that server's: at least, or at most if less is better. For
            our own key, the wanted figure.
    """

    title: str
    figure: str
    unit: str
    form: str = ",.0f"
    scale: float = 1.0
    less: bool = False
    chart: str = ""
    goals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workload:
    """A measure and its rows; `only` names the servers that support it, empty for all."""

    key: str
    measure: Measure
    rows: tuple[Row, ...]
    only: tuple[str, ...] = ()


def _saturated(title: str, chart: str, goals: Mapping[str, float]) -> Row:
    return Row(title, "granted_per_s", "deliveries/s", chart=chart, goals=goals)


def _per_cpu(title: str, chart: str = "") -> Row:
    goals = {BUN: 0.75, NODE_WS: 1.3}
    return Row(title, "per_cpu_s", "deliveries per CPU second", chart=chart, goals=goals)


def _latency(title: str, quantile: str, chart: str = "", goals: Mapping[str, float] | None = None) -> Row:
    return Row(title, f"latency_{quantile}_ms", "ms", ".2f", less=True, chart=chart, goals=goals or {})


_BIG: Final = _saturated("200 clients in 2 rooms, saturated", "200 clients in 2 rooms", {BUN: 1.0, NODE_WS: 20.0})
_MEDIUM: Final = _saturated("1 000 clients in 20, saturated", "1 000 clients in 20 rooms", {BUN: 1.0, NODE_WS: 12.0})
_HUGE: Final = _saturated("one room of 5 000, saturated", "One room of 5 000", {})
_AGAIN: Final = Row("the same, by CPU", "per_cpu_s", "deliveries per CPU second")
_STORM: Final = Row(
    "10 000 clients connect", "connects_per_s", "connects/s", chart="Connect storm", goals={BUN: 0.8, NODE_WS: 4.0}
)
_STORM_AGAIN: Final = Row("the same, by CPU", "connects_per_cpu_s", "connects per CPU second")
_IDLE: Final = Row(
    *("and are idle: memory each", "rss_bytes_each", "KB", ".1f", 1 / 1024),
    less=True, chart="An idle connection's memory", goals={OURS: 7.0},
)  # fmt: skip

WORKLOADS: Final = {
    workload.key: workload
    for workload in (
        Workload("big", chat(ChatLoad(200, 2, 160_000, batch=8)), (_BIG, _AGAIN)),
        Workload("medium", chat(ChatLoad(1000, 20, 160_000, batch=8)), (_MEDIUM, _AGAIN)),
        Workload("huge", chat(ChatLoad(5000, 1, 2000, sweep=0.01)), (_HUGE,)),
        Workload(
            "tens", chat(ChatLoad(200, 20, 40_000)), (_per_cpu("200 clients in 20 rooms, saturated", "Rooms of ten"),)
        ),
        Workload("tens-paced", chat(ChatLoad(200, 20, 8000)), (_per_cpu("the same at 72 000/s"),)),
        Workload(
            "pairs", chat(ChatLoad(200, 100, 15_000)), (_per_cpu("200 clients in 100 rooms, 15 000/s", "Rooms of two"),)
        ),
        Workload(
            "latency",
            chat(ChatLoad(200, 2, 505, audit=True), LATENCY_WAITING_LIMIT),
            (
                _latency("200 clients in 2 rooms, 50 000/s: p50", "p50"),
                _latency("the same: p99", "p99", "p99 at 50 000 deliveries/s", {BUN: 1.0}),
            ),
        ),
        Workload(
            "pings",
            chat(ChatLoad(200, 100, 5000, audit=True, pings=True), LATENCY_WAITING_LIMIT),
            (
                Row("5 000 ping round trips/s", "per_cpu_s", "pings per CPU second"),
                _latency("the same: p99", "p99"),
            ),
        ),
        Workload("crowd", connect_storm(10_000), (_STORM, _STORM_AGAIN, _IDLE)),
        Workload(
            "uploads",
            uploads(16),
            (Row("16 clients upload files of 64 KiB", "files_per_s", "files/s"),),
            only=(OURS,),
        ),
    )
}
