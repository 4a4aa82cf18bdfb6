"""The figures of one run that a comparison shows: capacity, storms, drill, and the levels. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from capacity.config.settings_table import SELECT_LEVELS
from capacity.formatting import about, count, figure, format_ms
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from capacity.record.drill import DrillRecord
    from capacity.record.report import RunReport
    from capacity.record.step import StepRecord
    from capacity.record.storm import StormAnswer, StormRecord

_MIN_MS: Final = 2.0


@dataclass(frozen=True, slots=True)
class FigureKind:
    """What a figure means.

    Attributes:
        name: of the figure.
        show: formats a value.
        more_is_better: whether a higher value is better.
        decides: whether a change beyond the tolerance is decisive.
        min_difference: smaller differences are insignificant.
        is_interval: whether the two measurements are the ends of an interval. The value is the lower one.
    """

    name: str
    show: Callable[[float], str]
    more_is_better: bool = False
    decides: bool = False
    min_difference: float = 0.0
    is_interval: bool = False


@dataclass(frozen=True, slots=True)
class RunFigure:
    """A figure of one run.

    Attributes:
        group: the level that it belongs to, such as `400 users`; empty for the run as a whole.
        measured: its valid measurements, or the ends of an interval, the upper one infinite if it was not reached.
    """

    kind: FigureKind
    group: str
    measured: tuple[float, ...]

    @property
    def name(self) -> str:
        """Its full name, which is unique in the run."""
        return f"{self.group}: {self.kind.name}" if self.group else self.kind.name

    @property
    def value(self) -> float:
        """The median, or the lower end of an interval."""
        return self.measured[0] if self.kind.is_interval else median(self.measured)

    @property
    def text(self) -> str:
        """The value, formatted."""
        return side_text([self])


def side_text(figures: Sequence[RunFigure]) -> str:
    """Format the median of a figure over several runs."""
    kind, value = figures[0].kind, median(one.value for one in figures)
    if not kind.is_interval:
        return kind.show(value)
    high = max(one.measured[1] for one in figures)
    if math.isinf(high):
        return f"at least {kind.show(value)}"
    return f"{kind.show(value)} to {kind.show(median(one.measured[1] for one in figures))}"


CAPACITY: Final = FigureKind("capacity, users", about, more_is_better=True, decides=True, is_interval=True)


def _latency(name: str) -> FigureKind:
    return FigureKind(name, format_ms, min_difference=_MIN_MS)


def _number(name: str) -> FigureKind:
    return FigureKind(name, lambda value: count(round(value)))


def _per_delivery(step: StepRecord) -> float | None:
    """Return microseconds of server CPU per delivery, the most stable figure on a noisy machine."""
    if step.server_cpu is None or not step.delivered_per_s:
        return None
    return step.server_cpu / step.delivered_per_s * 1e6


_LEVEL: Final[tuple[tuple[FigureKind, Callable[[StepRecord], float | None]], ...]] = (
    (_latency("mean latency"), lambda step: step.deliver_mean_ms),
    (_latency("p50"), lambda step: step.deliver_p50_ms),
    (_latency("p99"), lambda step: step.deliver_p99_ms),
    (FigureKind("server CPU per delivery", lambda us: f"{figure(us)} us", decides=True), _per_delivery),
)

_SHARE: Final = FigureKind(
    "storm, share of users", lambda share: f"{share:g} %", more_is_better=True, is_interval=True
)  # fmt: skip
_STORM: Final[tuple[tuple[FigureKind, Callable[[StormRecord], float | None]], ...]] = (
    (_latency("50 % resynced"), lambda storm: storm.resync50_ms),
    (_latency("95 % resynced"), lambda storm: storm.resync95_ms),
    (_latency("p99 of other users"), lambda storm: storm.unaffected_p99_ms),
    (_number("messages missed"), lambda storm: storm.missed),
)


def _seconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


_DRILL: Final[tuple[tuple[FigureKind, Callable[[DrillRecord], float | None]], ...]] = (
    (_number("users dropped"), lambda drill: drill.dropped),
    (_latency("50 % resynced"), lambda drill: _seconds(drill.resync_p50_seconds)),
    (_latency("95 % resynced"), lambda drill: _seconds(drill.resync_p95_seconds)),
    (_latency("all resynced"), lambda drill: _seconds(drill.resync_all_seconds)),
    (_number("messages missed"), lambda drill: drill.messages_missed),
    (_latency("p99 of other users"), lambda drill: drill.unaffected_p99_ms),
    (_number("deliveries lost"), lambda drill: drill.unaffected_lost),
    (_latency("as before after"), lambda drill: _seconds(drill.recovered_seconds)),
)


def is_search(report: RunReport) -> bool:
    """Return whether a run searched for the capacity, instead of measuring given levels or a drill."""
    return report.drill is None and not any(report.settings.get(name) for name in SELECT_LEVELS)


def figures_of(report: RunReport) -> list[RunFigure]:
    """Return the figures of a run by level; unknown ones are missing."""
    return [*_capacity(report), *_storms(report.storm), *_drill(report.drill), *_levels(report.steps)]


def verdicts_of(report: RunReport) -> dict[str, Verdict]:
    """Return the last verdict on each level, share of a storm, and drill of a run."""
    found = {_level_name(step.users): step.verdict for step in _measured(report.steps)}
    if report.storm is not None:
        found |= {_share_name(storm.share): storm.verdict for storm in report.storm.storms}
    return found if report.drill is None else {DRILL_GROUP: report.drill.verdict, **found}


DRILL_GROUP: Final = "drill"


def _level_name(users: int) -> str:
    return f"{count(users)} users"


def _share_name(share: int) -> str:
    return f"storm of {share} %"


def _measured(steps: Sequence[StepRecord]) -> list[StepRecord]:
    return sorted((step for step in steps if step.window_s is not None), key=lambda step: step.users)


def _interval(kind: FigureKind, low: int | None, high: int | None) -> Iterator[RunFigure]:
    if low:
        yield RunFigure(kind, "", (float(low), math.inf if high is None else float(high)))


def _capacity(report: RunReport) -> Iterator[RunFigure]:
    if not report.settings.get("bounded") and report.storm is None:
        yield from _interval(CAPACITY, report.answer.supported_users, report.answer.first_failing_users)


def _storms(answer: StormAnswer | None) -> Iterator[RunFigure]:
    if answer is None:
        return
    yield from _interval(_SHARE, answer.share, answer.failing_share)
    for share in sorted({storm.share for storm in answer.storms}):
        storms = [storm for storm in answer.storms if storm.share == share and storm.verdict != Verdict.INVALID]
        for kind, read in _STORM:
            yield from _figure(kind, _share_name(share), [read(storm) for storm in storms])


def _drill(drill: DrillRecord | None) -> Iterator[RunFigure]:
    if drill is not None and drill.verdict != Verdict.INVALID:
        for kind, read in _DRILL:
            yield from _figure(kind, DRILL_GROUP, [read(drill)])


def _levels(steps: Sequence[StepRecord]) -> Iterator[RunFigure]:
    measured = _measured(steps)
    for users in sorted({step.users for step in measured}):
        valid = [step for step in measured if step.users == users and step.verdict != Verdict.INVALID]
        for kind, read in _LEVEL:
            yield from _figure(kind, _level_name(users), [read(step) for step in valid])


def _figure(kind: FigureKind, group: str, values: Sequence[float | None]) -> Iterator[RunFigure]:
    known = tuple(float(value) for value in values if value is not None)
    if known:
        yield RunFigure(kind, group, known)
