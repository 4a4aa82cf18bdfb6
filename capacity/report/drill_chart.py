"""The chart of a drill: users, drops and reconnects, and latency while the command ran and after it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from matplotlib.ticker import MaxNLocator

from capacity.formatting import count, format_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from capacity.config.slo import RunSlo
    from capacity.record.drill import DrillRecord
    from capacity.report.drawing import Pen

_PANELS: Final = 3
_PANEL_HEIGHT: Final = 0.62
"""Height of a panel, as a part of a chart of one panel."""

_SHADE: Final = 0.14
_FAR: Final = 5.0
"""A threshold above all latencies times this is not drawn: it would flatten them."""


def draw_drill(drill: DrillRecord, slos: Sequence[RunSlo], figure: Figure, pen: Pen) -> None:
    """Draw users in rooms, drops and reconnects per second, and latency, one below the other."""
    figure.set_figheight(figure.get_figheight() * _PANELS * _PANEL_HEIGHT)
    users, connections, latency = figure.subplots(_PANELS, 1, sharex=True)
    _draw_users(users, drill, pen)
    _draw_connections(connections, drill, pen)
    _draw_latency(latency, drill, slos, pen)
    for axes in (users, connections, latency):
        axes.axvspan(0, drill.command_seconds or _end(drill), color=pen.palette.first, alpha=_SHADE, linewidth=0)
        axes.set_xlim(min(0.0, drill.seconds_begin), _end(drill))


def _end(drill: DrillRecord) -> float:
    return max((second.at_s for second in drill.timeline), default=1.0)


def _draw_users(axes: Axes, drill: DrillRecord, pen: Pen) -> None:
    pen.style(axes, x="", y="users in rooms")
    axes.plot(
        [0.0, *(second.at_s for second in drill.timeline)],
        [drill.users, *(second.ready for second in drill.timeline)],
        color=pen.palette.first, linewidth=2,
    )  # fmt: skip
    pen.whole_numbers(axes)
    axes.set_ylim(0, max(1, drill.users) * 1.1)


def _draw_connections(axes: Axes, drill: DrillRecord, pen: Pen) -> None:
    pen.style(axes, x="", y="connections per second")
    width = 0.42
    for shift, label, values, colour in (
        (-width / 2, "dropped", drill.lost_per_second, pen.palette.fail),
        (width / 2, "reconnected", drill.reconnects_per_second, pen.palette.second),
    ):
        middles = [drill.seconds_begin + number + 0.5 + shift for number in range(len(values))]
        axes.bar(middles, values, width=width, color=colour, label=label, linewidth=0)
    pen.whole_numbers(axes)
    axes.set_ylim(0, max([1, *drill.lost_per_second, *drill.reconnects_per_second]) * 1.1)
    if drill.lost_connections:
        pen.legend(axes)
    else:
        text = "no connection was lost"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=pen.palette.muted)


def _draw_latency(axes: Axes, drill: DrillRecord, slos: Sequence[RunSlo], pen: Pen) -> None:
    pen.style(axes, x="seconds since the command started", y="delivery latency p99, ms")
    values = [math.nan if second.p99_ms is None else second.p99_ms for second in drill.timeline]
    axes.plot(
        [second.at_s for second in drill.timeline], values,
        color=pen.palette.first, linewidth=2, marker="o", markersize=3,
    )  # fmt: skip
    top = max((value for value in values if not math.isnan(value)), default=1.0)
    for slo in slos:
        if slo.is_delivery_latency and slo.threshold <= _FAR * top:
            top = max(top, slo.threshold)
            pen.threshold(axes, slo.threshold, slo.text)
    axes.set_ylim(0, top * 1.2)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))


def describe_drill(drill: DrillRecord) -> str:
    """Return the chart's content as text."""
    fewest = min((second.ready for second in drill.timeline), default=drill.users)
    slowest = max((second.p99_ms for second in drill.timeline if second.p99_ms is not None), default=None)
    slow = "no delivery" if slowest is None else f"highest p99 of a second {format_ms(slowest)}"
    busiest = max(drill.lost_per_second, default=0)
    return (
        f"Of {count(drill.users)} users at least {count(fewest)} were in their rooms; "
        f"at most {count(busiest)} connections were lost in a second, "
        f"{count(max(drill.reconnects_per_second, default=0))} were opened; {slow}."
    )
