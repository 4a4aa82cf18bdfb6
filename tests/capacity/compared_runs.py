"""Make reports of runs before and after a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.capacity import make

if TYPE_CHECKING:
    from pathlib import Path

    from capacity.record.report import RunReport
    from capacity.record.step import StepRecord


def run(*steps: StepRecord, revision: str = "aaa", **settings: Any) -> RunReport:
    made = make.report(list(steps))
    environment = msgspec.structs.replace(made.environment, revision=revision)
    return msgspec.structs.replace(made, environment=environment, settings=made.settings | settings)


def slower(factor: float, **figures: Any) -> StepRecord:
    """Return a step at 400 users with more server CPU for the same deliveries."""
    return make.step(400, server_cpu=0.22 * factor, **figures)


def searched(cpu: float, low: int, high: int, revision: str) -> RunReport:
    """Return a search that ended between two levels, with so many times the usual server CPU."""
    ramp = [make.step(users, server_cpu=(0.02 + users / 2000) * cpu) for users in (100, 200, 400, 800)]
    last = [*[make.step(low, server_cpu=0.9)] * 3, *[make.failing(high)] * 2]
    return run(*ramp, make.failing(1600), *last, revision=revision)


BASE: Final = [(1.0, 1200, 1300), (1.02, 1220, 1310), (0.99, 1190, 1280)]
CHANGES: Final = {
    "faster": [(0.8, 1500, 1590), (0.82, 1520, 1600), (0.79, 1480, 1560)],
    "slower": [(1.25, 900, 1000), (1.2, 920, 1010), (1.22, 890, 980)],
    "within noise": [(1.1, 1210, 1300), (0.93, 1180, 1310), (1.05, 1200, 1280)],
}
"""Three runs of each side: server CPU, and the interval of the capacity."""


def sides(change: str) -> tuple[list[RunReport], list[RunReport]]:
    """Return three searches before and three after a change."""
    return [searched(*one, revision="aaa") for one in BASE], [searched(*one, revision="bbb") for one in CHANGES[change]]


def folders(parent: Path, **reports: RunReport) -> list[str]:
    """Write reports into folders of their names; return the paths."""
    for name, report in reports.items():
        (parent / name).mkdir()
        (parent / name / "report.json").write_bytes(msgspec.json.encode(report))
    return [str(parent / name) for name in reports]
