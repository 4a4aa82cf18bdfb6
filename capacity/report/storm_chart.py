"""The chart of a run's storms: how long dropped users took to resync."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from capacity.config.slo import parse_slo
from capacity.errors import UsageError
from capacity.formatting import format_ms
from capacity.report.drawing import DASHED, DOTTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from capacity.record.storm import StormAnswer
    from capacity.report.drawing import Pen

_LINES: Final = (("resync50_ms", "half", DASHED), ("resync95_ms", "95 %", "-"), ("resync100_ms", "all", DOTTED))


def draw_storms(answer: StormAnswer, figure: Figure, pen: Pen) -> None:
    """Draw the time until half, 95 % and all of the dropped users had resynced, over the share that was dropped."""
    axes = figure.subplots()
    pen.style(axes, x="% of the users dropped at once", y="seconds until resynced")
    for (name, label, dash), colour in zip(
        _LINES, (pen.palette.second, pen.palette.first, pen.palette.third), strict=True
    ):
        shares, seconds = _medians(answer, name)
        axes.plot(shares, seconds, color=colour, linestyle=dash, linewidth=2, label=label)
    for storm in answer.storms:
        if storm.resync95_ms is not None:
            pen.mark(axes, storm.share, storm.resync95_ms / 1000, storm.verdict, size=6)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    _draw_thresholds(axes, answer, pen)
    pen.legend(axes)


def _medians(answer: StormAnswer, name: str) -> tuple[list[int], list[float]]:
    """Return the shares, and the median of a figure in seconds at each."""
    known: dict[int, list[float]] = {}
    for storm in answer.storms:
        value = getattr(storm, name)
        if value is not None:
            known.setdefault(storm.share, []).append(value / 1000)
    return sorted(known), [median(known[share]) for share in sorted(known)]


def _draw_thresholds(axes: Axes, answer: StormAnswer, pen: Pen) -> None:
    for text in answer.levels:
        try:
            slo = parse_slo(text)
        except UsageError:
            continue
        if slo.is_resync:
            seconds = slo.threshold / 1000
            axes.set_ylim(top=max(axes.get_ylim()[1], seconds * 1.15))
            pen.threshold(axes, seconds, text)


def describe_storms(answer: StormAnswer) -> str:
    """Return the chart's content as text."""
    parts = []
    for storm in answer.storms:
        back = "not resynced" if storm.resync95_ms is None else f"95 % resynced in {format_ms(storm.resync95_ms)}"
        parts.append(f"{storm.share} % dropped: {back}, {storm.verdict}")
    return f"{'; '.join(parts)}."
