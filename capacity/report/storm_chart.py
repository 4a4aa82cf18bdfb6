"""The chart of a run's storms: how long those dropped took to hear again."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from capacity.config.slo import parse_level
from capacity.errors import UsageError
from capacity.formatting import show_ms
from capacity.report.drawing import BROKEN, DASHED, DOTTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from capacity.record import StormAnswer
    from capacity.report.drawing import Pen

_RANKS: Final = (("resync50_ms", "half", DASHED), ("resync95_ms", "95 %", "-"), ("resync100_ms", "all", DOTTED))


def draw_storms(answer: StormAnswer, figure: Figure, pen: Pen) -> None:
    """Draw the time until half, 95 % and all of them were resynced, over the share that was dropped."""
    axes = figure.subplots()
    pen.style(axes, x="% of the users dropped at once", y="seconds until resynced")
    for (name, label, dash), colour in zip(
        _RANKS, (pen.palette.second, pen.palette.first, pen.palette.third), strict=True
    ):
        shares, seconds = _medians(answer, name)
        axes.plot(shares, seconds, color=colour, linestyle=dash, linewidth=2, label=label)
    for storm in answer.storms:
        if storm.resync95_ms is not None:
            pen.mark(axes, storm.share, storm.resync95_ms / 1000, storm.verdict, size=6)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    _thresholds(axes, answer, pen)
    pen.legend(axes)


def _medians(answer: StormAnswer, name: str) -> tuple[list[int], list[float]]:
    known: dict[int, list[float]] = {}
    for storm in answer.storms:
        value = getattr(storm, name)
        if value is not None:
            known.setdefault(storm.share, []).append(value / 1000)
    return sorted(known), [median(known[share]) for share in sorted(known)]


def _thresholds(axes: Axes, answer: StormAnswer, pen: Pen) -> None:
    for text in answer.levels:
        try:
            level = parse_level(text)
        except UsageError:
            continue
        if level.base == "resync":
            seconds = level.threshold / 1000
            axes.axhline(seconds, color=pen.palette.fail, linewidth=1.4, linestyle=BROKEN)
            axes.set_ylim(top=max(axes.get_ylim()[1], seconds * 1.15))
            axes.annotate(text, (0, seconds), xytext=(4, 4), textcoords="offset points", color=pen.palette.fail)


def storm_words(answer: StormAnswer) -> str:
    """Say in words what the chart shows."""
    told = []
    for storm in answer.storms:
        back = "not back" if storm.resync95_ms is None else f"95 % resynced in {show_ms(storm.resync95_ms)}"
        told.append(f"{storm.share} % dropped: {back}, {storm.verdict}")
    return f"{'; '.join(told)}."
