"""The thresholds of a run, each judged in consecutive windows; pure, times and figures are arguments.

A window lasts the configured time, and longer until it has enough samples for its figure: one slow delivery in fifty is
not a p99. The rest at the end of a run is judged together with the last window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stampede.measure.figures import no_figures
from stampede.measure.formatting import format_clock

if TYPE_CHECKING:
    from stampede.measure.figures import Figures
    from stampede.verdict.slo import Slo

WINDOW_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """One judged window: its start and end in seconds since the test began, and the value of the figure."""

    start: float
    end: float
    value: float


class Threshold:
    """One threshold of one run.

    Args:
        slo: what must hold.
        seconds: length of a window.
        began: when the figures began to count, in seconds since the test began.

    Attributes:
        worst: the judged window with the highest value; None when nothing was measured.
        latest: the last judged window; None when nothing was measured.
        judged: number of judged windows; `missed` of them missed the threshold.
    """

    __slots__ = ("_ends", "_missed_last", "judged", "latest", "missed", "seconds", "slo", "worst")

    def __init__(self, slo: Slo, seconds: float = WINDOW_SECONDS, began: float = 0.0) -> None:
        self.slo = slo
        self.seconds = seconds
        self._ends = [(began, no_figures())]  # start of the last window, if there is one, and its end
        self._missed_last = False
        self.worst: JudgedWindow | None = None
        self.latest: JudgedWindow | None = None
        self.judged = self.missed = 0

    @property
    def is_met(self) -> bool:
        """Whether there was a window, and none missed the threshold."""
        return self.judged > 0 and not self.missed

    @property
    def is_failing(self) -> bool:
        """Whether the last judged window missed the threshold."""
        return self._missed_last

    @property
    def is_measured(self) -> bool:
        """Whether there was a window to judge."""
        return self.judged > 0

    def update(self, at: float, figures: Figures) -> None:
        """Judge the window if it ends at `at` seconds since the test began."""
        start, before = self._ends[-1]
        if at - start < self.seconds:
            return
        window = figures.since(before)
        if self.slo.samples(window) >= self.slo.min_samples:
            self._judge(start, at, window)
            self._ends = [(start, before), (at, figures)]

    def conclude(self, at: float, figures: Figures) -> None:
        """Judge the rest of the run, together with the last window if there was one."""
        start, before = self._ends[0]
        self._judge(start, at, figures.since(before), again=len(self._ends) > 1)

    def _judge(self, start: float, end: float, figures: Figures, *, again: bool = False) -> None:
        value = self.slo.value(figures)
        if value is None:
            return
        window = self.latest = JudgedWindow(start, end, value)
        missed = not self.slo.is_met(value)
        if not again:
            self.judged += 1
            self.missed += missed
        elif not self._missed_last:  # a window that was missed stays missed
            self.missed += missed
        self._missed_last = missed
        if self.worst is None or value > self.worst.value:
            self.worst = window


def describe(threshold: Threshold, why_unmeasured: str = "no samples") -> str:
    """Return the result of a threshold in one line."""
    slo, worst = threshold.slo, threshold.worst
    if worst is None:
        return f"{slo.text:<20} unmeasured: {why_unmeasured}"
    where = f"{format_clock(worst.start)}-{format_clock(worst.end)}"
    if threshold.is_met:
        return f"{slo.text:<20} met: worst {slo.show(worst.value)} ({where})"
    return (
        f"{slo.text:<20} FAILED in {threshold.missed} of {threshold.judged} windows: "
        f"worst {slo.show(worst.value)} ({where})"
    )
