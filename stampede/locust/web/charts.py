"""The charts of a test: deliveries and resyncs over time, with the storms on the time axis; pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stampede.locust.web.plot import HEIGHT, WIDTH, Line, Mark, PlacedMark, Scale, Tick, value_scale
from stampede.locust.web.templates import FOLDER, template
from stampede.measure.formatting import format_clock, format_ms
from stampede.measure.storm_results import ends_s, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stampede.locust.agents.master import MasterAgent
    from stampede.measure.storm_results import StormResult
    from stampede.measure.time_series import SeriesPoint, TimeSeries

UNREPORTED_SECONDS: Final = 1.0
"""While a test lasts, processes report at least this often: what is older is complete."""


def _ms(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e6


def _count(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 10 or value == int(value) else f"{value:.1f}"


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a chart shows: its lines by name, how it writes a value, and its text when there are no values."""

    title: str
    lines: dict[str, Callable[[SeriesPoint], float | None]]
    show: Callable[[float], str]
    note: str


DRAWINGS: Final = (
    Drawing(
        "Deliveries received per second",
        {"received": lambda point: point.received_per_second},
        _count,
        "No interval has ended yet.",
    ),
    Drawing(
        "Delivery latency from the intended send",
        {"p50": lambda point: _ms(point.latency_p50_ns), "p99": lambda point: _ms(point.latency_p99_ns)},
        format_ms,
        "No delivery to a timed user yet.",
    ),
    Drawing(
        "Time from drop to resync",
        {"p50": lambda point: _ms(point.resync_p50_ns), "p99": lambda point: _ms(point.resync_p99_ns)},
        format_ms,
        "No dropped user has resynced.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What all charts share: the intervals, the storms, and the time axis."""

    points: list[SeriesPoint]
    marks: list[Mark]
    begins_s: float
    ends_s: float
    has_ended: bool


@dataclass(frozen=True, slots=True)
class Key:
    """A line of a chart and its latest and highest value, as texts."""

    name: str
    path: str
    dots: str
    values: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart, as the template draws it.

    Attributes:
        readings: the values at each time as JSON: position in percent, and text.
        note: in place of the lines, if there are none.
    """

    title: str
    keys: list[Key]
    values: list[Tick]
    times: list[Tick]
    marks: list[PlacedMark]
    description: str
    readings: str
    note: str


def charts_of(master: MasterAgent, heading: str = "") -> str:
    """Return the charts of the current or last test as a section of HTML, with an optional heading."""
    if not master.run:
        return _section("There was no test yet.", heading=heading)
    if not master.has_chat_users:
        return _section("No user class of this test is a ChatUser: there are no deliveries.", heading=heading)
    return charts_html(
        master.series, master.storms(), seconds=master.seconds, has_ended=master.has_ended, heading=heading
    )


def report_charts(master: MasterAgent) -> str:
    """Return the charts for a report, which has no other files: with their script."""
    script = (FOLDER / "chart_readings.js").read_text(encoding="utf-8")
    return f"{charts_of(master, 'Delivery charts')}<script>{script}</script>"


def charts_html(
    series: TimeSeries, storms: Sequence[StormResult], *, seconds: float, has_ended: bool, heading: str = ""
) -> str:
    """Return the charts of a test as a section of HTML.

    Args:
        series: of the test.
        storms: of the test.
        seconds: length of the test so far.
        has_ended: whether the test has ended.
        heading: of the section; empty for none.
    """
    until = seconds if has_ended else seconds - UNREPORTED_SECONDS
    view = View(
        points=list(series.points(until, has_ended=has_ended)),
        marks=[_mark(storm, seconds) for storm in storms],
        begins_s=series.begins_s,
        ends_s=max(seconds, series.begins_s + 1.0),
        has_ended=has_ended,
    )
    charts = [_chart(drawing, view) for drawing in DRAWINGS]
    interval = f"{series.interval_s:g} s"
    return _section(heading=heading, charts=charts, storms=view.marks, interval=interval, height=HEIGHT, width=WIDTH)


def _section(note: str = "", **parts: Any) -> str:
    style = (FOLDER / "charts.css").read_text(encoding="utf-8")
    return template("charts.html").render(note=note, style=style, **parts)


def _chart(drawing: Drawing, view: View) -> Chart:
    lines = [
        Line(name, [((point.begins_s + point.ends_s) / 2, value(point)) for point in view.points])
        for name, value in drawing.lines.items()
    ]
    highest = max((value for line in lines for value in line.known), default=None)
    top, ticks = value_scale(highest or 0.0, drawing.show)
    scale = Scale(view.begins_s, view.ends_s, top)
    keys = [Key(line.name, scale.path(line), scale.dots(line), _values(line, drawing.show, view)) for line in lines]
    described = "; ".join(f"{key.name} {key.values}" for key in keys)
    return Chart(
        title=drawing.title,
        keys=keys,
        values=ticks if highest is not None else [],
        times=scale.times(),
        marks=scale.marks(view.marks),
        description=f"{drawing.title}, {format_clock(view.begins_s)} to {format_clock(view.ends_s)}: {described}.",
        readings=json.dumps(_readings(lines, drawing.show, scale)),
        note=drawing.note if highest is None else "",
    )


def _readings(lines: Sequence[Line], show: Callable[[float], str], scale: Scale) -> list[tuple[float, str]]:
    """Return the position of each interval with values, in percent, and these values."""
    found = []
    for points in zip(*(line.values for line in lines), strict=True):
        named = zip(lines, points, strict=True)
        known = [f"{line.name} {show(value)}" for line, (_, value) in named if value is not None]
        seconds = points[0][0]
        if known:
            found.append((round(scale.x(seconds) * 100 / WIDTH, 2), f"{format_clock(seconds)}  {', '.join(known)}"))
    return found


def _values(line: Line, show: Callable[[float], str], view: View) -> str:
    known = line.known
    if not known:
        return "-"
    highest = f"at most {show(max(known))}"
    return highest if view.has_ended else f"{show(known[-1])}, {highest}"


def _mark(storm: StormResult, seconds: float) -> Mark:
    share = 100 * storm.dropped / storm.users if storm.users else 0.0
    end = ends_s(storm)
    return Mark(storm.at_s, max(storm.at_s, seconds if end is None else end), f"{share:.0f} %", sentence(storm))
