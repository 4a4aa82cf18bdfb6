"""The report's charts as inline SVG: one drawing for light and dark, in a wide and a narrow (phone) variant.

Matplotlib draws with sentinel colours, which are then replaced by CSS variables of the page. Verdicts differ in
shape, series in dash, so that nothing rests on colour. Text stays text; ids are made unique per drawing.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from capacity.answer import count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from capacity.record import Report, StepRecord
    from capacity.slo import ServiceLevel

_INK, _MUTED, _GRID = "#010101", "#020202", "#030303"
_PASS, _FAIL, _INVALID = "#040404", "#050505", "#060606"
_FIRST, _SECOND, _THIRD, _PAPER = "#070707", "#080808", "#090909", "#0a0a0a"
_VARIABLES: Final = {
    _INK: "ink",
    _MUTED: "muted",
    _GRID: "grid",
    _PASS: "pass",
    _FAIL: "fail",
    _INVALID: "invalid",
    _FIRST: "first",
    _SECOND: "second",
    _THIRD: "third",
    _PAPER: "paper",
}
_MARKERS: Final = {"pass": ("o", _PASS, _PASS), "fail": ("v", _FAIL, _FAIL), "invalid": ("s", _PAPER, _INVALID)}
_POINTS_PER_INCH: Final = 72


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of a drawing in CSS pixels, and its text size."""

    name: str
    width: int
    height: int
    text: float


WIDE: Final = Shape("wide", 860, 340, 12.5)
NARROW: Final = Shape("narrow", 344, 300, 11.5)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the report: `title` and `words` (its text alternative), and one SVG for each shape."""

    key: str
    title: str
    words: str
    svgs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _View:
    """What a drawing shows, and in which shape."""

    report: Report
    steps: Sequence[StepRecord]
    levels: Sequence[ServiceLevel]
    shape: Shape


def draw_charts(report: Report, levels: Sequence[ServiceLevel]) -> list[Chart]:
    """Return the three charts, or none without any measured step."""
    steps = [step for step in report.steps if step.window_s is not None]
    if not steps:
        return []

    def chart(key: str, title: str, words: str, draw: Callable[[Figure, _View], None]) -> Chart:
        views = [_View(report, steps, levels, shape) for shape in (WIDE, NARROW)]
        svgs = [_inline(_svg(draw, view, key), f"{key}-{view.shape.name}", title, words) for view in views]
        return Chart(key, title, words, tuple(svgs))

    return [
        chart("verdicts", "Users and verdicts over time", _verdict_words(report), _draw_verdicts),
        chart("latency", "Delivery latency against users", _latency_words(steps), _draw_latency),
        chart("load", "Deliveries and CPU against users", _load_words(steps), _draw_load),
    ]


def _svg(draw: Callable[[Figure, _View], None], view: _View, salt: str) -> str:
    """Return matplotlib's drawing; the salt makes its ids reproducible, and text stays text."""
    shape = view.shape
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": shape.text}):
        size = (shape.width / _POINTS_PER_INCH, shape.height / _POINTS_PER_INCH)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure, view)
        page = io.StringIO()
        figure.savefig(page, format="svg", transparent=True, metadata={"Date": None})
    return page.getvalue()


def _inline(svg: str, prefix: str, title: str, words: str) -> str:
    """Turn matplotlib's file into an element of the page: no prolog, no links, own ids, CSS variables, words."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid=")', rf"\1{prefix}-", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\1{prefix}-", svg)
    for colour, name in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    view = re.search(r'viewBox="[^"]*"', svg)
    described = f'aria-labelledby="{prefix}-title {prefix}-words"'
    opening = (
        f'<svg class="{prefix.rpartition("-")[2]}" {view[0] if view else ""} role="img" {described}>'
        f'<title id="{prefix}-title">{escape(title)}</title><desc id="{prefix}-words">{escape(words)}</desc>'
    )
    return opening + svg[svg.index(">") + 1 :].strip()


def _style(axes: Axes, *, x: str, y: str) -> None:
    axes.set_xlabel(x, color=_MUTED)
    # A horizontal label above the axis is read without turning the head, and costs a phone no width.
    axes.set_title(y, loc="left", color=_MUTED, fontsize=mpl.rcParams["font.size"])
    axes.tick_params(which="both", colors=_MUTED, length=0, pad=5)
    axes.grid(visible=True, axis="y", color=_GRID, linewidth=1)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.patch.set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(round(value))))


def _legend(axes: Axes, shape: Shape) -> None:
    """Put the legend beside the axis label where there is width for both, else on lines of its own below it."""
    handles = axes.get_legend_handles_labels()[0]
    wide = shape is WIDE
    rows = 1 if len(handles) <= 3 else 2
    if not wide:
        axes.set_title(axes.get_title("left"), loc="left", color=_MUTED, fontsize=shape.text, pad=8 + 18 * rows)
    axes.legend(
        loc="lower right" if wide else "lower left",
        bbox_to_anchor=(1.0, 1.0) if wide else (-0.02, 1.0),
        ncols=len(handles) if wide or rows == 1 else 2,
        frameon=False,
        labelcolor=_INK,
        handlelength=1.6,
        columnspacing=1.2,
        handletextpad=0.5,
        borderaxespad=0.2,
    )


def _mark(axes: Axes, x: float, y: float, verdict: str, *, size: float = 7) -> None:
    marker, face, edge = _MARKERS[verdict]
    axes.plot(
        [x], [y], marker=marker, markersize=size, markerfacecolor=face, markeredgecolor=edge, markeredgewidth=1.6,
        linestyle="none", zorder=5, clip_on=False,
    )  # fmt: skip


def _draw_verdicts(figure: Figure, view: _View) -> None:
    axes = figure.subplots()
    _style(axes, x="seconds since the search began", y="users")
    answer = view.report.answer
    low, high = answer.supported_users, answer.first_failing_users
    if low and high:
        axes.axhspan(low, high, color=_FIRST, alpha=0.14, linewidth=0)
    if low:
        axes.axhline(low, color=_FIRST, linewidth=1.2, linestyle=(0, (5, 3)))
    times: list[float] = []
    users: list[float] = []
    for step in view.report.steps:
        ends = step.started_s + step.settle_s + (step.window_s or 0.0)
        times += [step.started_s, ends]
        users += [step.users, step.users]
    axes.plot(times, users, color=_GRID, linewidth=1.5, zorder=2)
    for step in view.report.steps:
        begins = step.started_s + step.settle_s
        ends = begins + (step.window_s or 0.0)
        axes.plot([begins, ends], [step.users] * 2, color=_MARKERS[step.verdict][2], linewidth=3, alpha=0.55)
        _mark(axes, (begins + ends) / 2, step.users, step.verdict, size=8)
    for verdict in ("pass", "fail", "invalid"):
        if any(step.verdict == verdict for step in view.report.steps):
            marker, face, edge = _MARKERS[verdict]
            axes.plot(
                [], [], marker=marker, markersize=7, markerfacecolor=face, markeredgecolor=edge, markeredgewidth=1.6,
                linestyle="none", label=verdict,
            )  # fmt: skip
    axes.set_ylim(0, max(users) * 1.12)
    axes.set_xlim(0, max(times) * 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: count(round(value))))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    _legend(axes, view.shape)


def _by_users(steps: Sequence[StepRecord], figure: str) -> tuple[list[int], list[float]]:
    """Return levels and the median of a figure over the steps at each, leaving out what is not known."""
    known: dict[int, list[float]] = {}
    for step in steps:
        value = getattr(step, figure)
        if value is not None:
            known.setdefault(step.users, []).append(value)
    levels = sorted(known)
    return levels, [median(known[users]) for users in levels]


def _draw_latency(figure: Figure, view: _View) -> None:
    axes = figure.subplots()
    _style(axes, x="users", y="milliseconds")
    steps = view.steps
    for rank, colour in (("p99", _FIRST), ("p50", _SECOND)):
        for clock, dash, name in (("", "-", "intended"), ("sent_", (0, (2, 2)), "sent")):
            x, y = _by_users(steps, f"deliver_{clock}{rank}_ms")
            axes.plot(x, y, color=colour, linestyle=dash, linewidth=2, label=f"{rank} {name}")
    for step in steps:
        if step.deliver_p99_ms is not None:
            _mark(axes, step.users, step.deliver_p99_ms, step.verdict, size=6)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 1000 else count(int(value))))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.set_xlim(left=0)
    for level in view.levels:
        if level.is_delivery_latency:
            axes.set_ylim(top=max(axes.get_ylim()[1], level.threshold * 3))  # room for its label
            axes.axhline(level.threshold, color=_FAIL, linewidth=1.4, linestyle=(0, (6, 3)))
            axes.annotate(
                level.text, (0, level.threshold), xytext=(4, 4), textcoords="offset points", color=_FAIL, va="bottom"
            )
    _legend(axes, view.shape)


def _draw_load(figure: Figure, view: _View) -> None:
    if view.shape is WIDE:
        rates, cpu = figure.subplots(1, 2)
    else:
        figure.set_figheight(figure.get_figheight() * 2)
        rates, cpu = figure.subplots(2, 1)
    _draw_rates(rates, view)
    _draw_cpu(cpu, view)


def _draw_rates(axes: Axes, view: _View) -> None:
    steps = view.steps
    _style(axes, x="users", y="deliveries/s")
    x, y = _by_users(steps, "offered_per_s")
    axes.plot(x, y, color=_SECOND, linewidth=2, linestyle=(0, (2, 2)), label="offered")
    x, y = _by_users(steps, "delivered_per_s")
    axes.plot(x, y, color=_FIRST, linewidth=2, label="received")
    for step in steps:
        _mark(axes, step.users, step.delivered_per_s or 0.0, step.verdict, size=6)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: count(round(value))))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    _legend(axes, view.shape)


def _draw_cpu(axes: Axes, view: _View) -> None:
    steps, answer = view.steps, view.report.answer
    _style(axes, x="users", y="% of one core")
    x, y = _by_users(steps, "server_cpu")
    axes.plot(x, [value * 100 for value in y], color=_FIRST, linewidth=2, label="server")
    busiest = {step.users: max(step.generator_cpu) * 100 for step in steps if step.generator_cpu}
    axes.plot(
        sorted(busiest), [busiest[users] for users in sorted(busiest)],
        color=_SECOND, linewidth=2, linestyle=(0, (2, 2)), label="generator",
    )  # fmt: skip
    for step in steps:
        if step.server_cpu is not None:
            _mark(axes, step.users, step.server_cpu * 100, step.verdict, size=6)
    at_low = next((cpu for users, cpu in zip(x, y, strict=True) if users == answer.supported_users), None)
    if answer.projected_users and at_low is not None:
        axes.plot(
            [answer.supported_users or 0, answer.projected_users], [at_low * 100, 100],
            color=_THIRD, linewidth=2, linestyle=(0, (1, 2)), label="projected",
        )  # fmt: skip
    axes.axhline(100, color=_FAIL, linewidth=1.4, linestyle=(0, (6, 3)))
    axes.set_xlim(left=0)
    axes.set_ylim(0, max(110.0, *(value * 110 for value in y)) if y else 110)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    _legend(axes, view.shape)


def _verdict_words(report: Report) -> str:
    told = [f"{count(step.users)} users: {step.verdict}" for step in report.steps]
    return f"Steps in order. {'; '.join(told)}."


def _latency_words(steps: Sequence[StepRecord]) -> str:
    x, p50 = _by_users(steps, "deliver_p50_ms")
    _, p99 = _by_users(steps, "deliver_p99_ms")
    told = [f"{count(n)} users: p50 {a:.3g} ms, p99 {b:.3g} ms" for n, a, b in zip(x, p50, p99, strict=True)]
    return f"Latency from the intended send. {'; '.join(told)}." if told else "No delivery was measured."


def _load_words(steps: Sequence[StepRecord]) -> str:
    told = []
    for step in steps:
        cpu = "unknown" if step.server_cpu is None else f"{step.server_cpu * 100:.0f} % of a core"
        rates = f"{step.delivered_per_s or 0:.0f} of {step.offered_per_s or 0:.0f} deliveries/s"
        told.append(f"{count(step.users)} users: {rates}, server CPU {cpu}")
    return f"{'; '.join(told)}."
