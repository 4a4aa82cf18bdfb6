"""Thresholds of a run, each judged over window after window; pure, times and figures come in.

A window ends after the set time, and not before it holds as many samples as could show the difference: a single slow
delivery among fifty is no p99. What is left at the end of a run is judged together with the last window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stampede.measure import measures
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.storm_results import clock

if TYPE_CHECKING:
    from stampede.measure.slo import Slo
    from stampede.measure.snapshot import Totals

WINDOW_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What thresholds are judged by: since the test began, or of a window (see `since`)."""

    latency_intended: LogLinearHistogram = field(default_factory=LogLinearHistogram)
    latency_sent: LogLinearHistogram = field(default_factory=LogLinearHistogram)
    resync: LogLinearHistogram = field(default_factory=LogLinearHistogram)
    expected: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    operations: int = 0
    failures: int = 0

    def since(self, earlier: Figures) -> Figures:
        """Return what came after `earlier`."""
        return Figures(
            self.latency_intended.since(earlier.latency_intended),
            self.latency_sent.since(earlier.latency_sent),
            self.resync.since(earlier.resync),
            # What was in flight to somebody who left is expected no more.
            max(0, self.expected - earlier.expected),
            self.lost - earlier.lost,
            self.duplicated - earlier.duplicated,
            self.reordered - earlier.reordered,
            self.operations - earlier.operations,
            self.failures - earlier.failures,
        )


def figures_of(totals: Totals) -> Figures:
    """Return the figures of a run so far; deliveries have a ledger of their own and are no operations."""
    deliveries = totals.deliveries
    tried = [name for name in measures.NAMES if name != measures.DELIVER]
    failures = sum(totals.failed(name) for name in tried)
    return Figures(
        totals.by_intended,
        totals.by_sent,
        totals.times[measures.RESYNC],
        deliveries.expected,
        deliveries.lost,
        deliveries.duplicated,
        deliveries.reordered,
        failures + sum(totals.times[name].count for name in tried),
        failures,
    )


@dataclass(frozen=True, slots=True)
class Window:
    """One judged window: seconds since the test began, and the figure."""

    start: float
    end: float
    value: float


class Threshold:
    """One threshold over one run.

    Args:
        level: what must hold.
        seconds: length of a window.
        began: seconds since the test began at which the figures count from 0.

    Attributes:
        worst: the judged window with the highest figure; None when nothing was measured.
        missed: how many windows missed the threshold, of `judged`.
    """

    __slots__ = ("_ends", "_missed_last", "judged", "level", "missed", "seconds", "worst")

    def __init__(self, level: Slo, seconds: float = WINDOW_SECONDS, began: float = 0.0) -> None:
        self.level = level
        self.seconds = seconds
        self._ends = [(began, Figures())]  # where the last window began, if there was one, and where it ended
        self._missed_last = False
        self.worst: Window | None = None
        self.judged = self.missed = 0

    @property
    def is_met(self) -> bool:
        """Whether no window missed it, and there was one."""
        return self.judged > 0 and not self.missed

    @property
    def is_measured(self) -> bool:
        """Whether there was anything to judge."""
        return self.judged > 0

    def look(self, at: float, figures: Figures) -> None:
        """Judge the window if it ends now."""
        start, before = self._ends[-1]
        if at - start < self.seconds:
            return
        window = figures.since(before)
        if self.level.samples(window) >= self.level.fewest:
            self._judge(start, at, window)
            self._ends = [(start, before), (at, figures)]

    def conclude(self, at: float, figures: Figures) -> None:
        """Judge what is left, together with the last window if there was one."""
        start, before = self._ends[0]
        self._judge(start, at, figures.since(before), again=len(self._ends) > 1)

    def _judge(self, start: float, end: float, figures: Figures, *, again: bool = False) -> None:
        value = self.level.value(figures)
        if value is None:
            return
        window = Window(start, end, value)
        missed = not self.level.is_met(value)
        if not again:
            self.judged += 1
            self.missed += missed
        elif not self._missed_last:  # what came after it cannot save a window
            self.missed += missed
        self._missed_last = missed
        if self.worst is None or value > self.worst.value:
            self.worst = window


def describe(threshold: Threshold) -> str:
    """Say in one line how a threshold fared."""
    level, worst = threshold.level, threshold.worst
    if worst is None:
        return f"{level.text:<20} unmeasured: there was nothing to measure"
    where = f"{clock(worst.start)}-{clock(worst.end)}"
    if threshold.is_met:
        return f"{level.text:<20} met: at worst {level.show(worst.value)} ({where})"
    return (
        f"{level.text:<20} FAILED in {threshold.missed} of {threshold.judged} windows: "
        f"at worst {level.show(worst.value)} ({where})"
    )
