"""The charts of a report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, MaxNLocator

from capacity.formatting import count
from capacity.report.chart_texts import (
    describe_generator,
    describe_latency,
    describe_load,
    describe_server,
    describe_verdicts,
    medians_by_users,
    verdict_note,
)
from capacity.report.drawing import DASHED, DOTTED, Pen, png, svgs
from capacity.report.drill_chart import describe_drill, draw_drill
from capacity.report.storm_chart import describe_storms, draw_storms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from capacity.config.slo import RunSlo
    from capacity.record.drill import DrillRecord
    from capacity.record.model import Model
    from capacity.record.report import RunReport
    from capacity.record.step import StepRecord
    from capacity.record.storm import StormAnswer


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the report: its title, the note below it, its text alternative, and how to draw it."""

    key: str
    title: str
    note: str
    description: str
    draw: Callable[[Figure, Pen], None]

    @property
    def svgs(self) -> tuple[str, ...]:
        """The SVG elements, one for each size."""
        return svgs(self.draw, self.key, self.title, self.description)

    def png(self) -> bytes:
        """Return the chart as PNG."""
        return png(self.draw, self.title)


@dataclass(frozen=True, slots=True)
class _View:
    """The data of the charts."""

    report: RunReport
    steps: Sequence[StepRecord]
    slos: Sequence[RunSlo]


def charts_of(report: RunReport, slos: Sequence[RunSlo]) -> list[Chart]:
    """Return the charts; none without a measured step."""
    if report.drill is not None:
        return [_drill_chart(report.drill, slos)]
    steps = [step for step in report.steps if step.window_s is not None]
    if not steps:
        return []
    if report.storm is not None:
        return [_storm_chart(report.storm)]  # a single level has no charts over users
    view = _View(report, steps, slos)
    found = [
        Chart("verdicts", "Users and verdicts over time", verdict_note(report), describe_verdicts(report),
              partial(_draw_verdicts, view)),
        Chart("latency", "Delivery latency against users",
              "From the time a message was due (intended), and from the time it was sent (sent). "
              "The vertical scale is logarithmic.", describe_latency(steps), partial(_draw_latency, view)),
        Chart("load", "Deliveries and CPU against users",
              "If the server keeps up, received equals offered. A full core is at 100 %."
              + (" Dotted: projected from the measured steps." if report.answer.projected_users else ""),
              describe_load(steps), partial(_draw_load, view)),
    ]  # fmt: skip
    if any(step.server_loop_lag_p99_ms is not None or step.server_rss_bytes is not None for step in steps):
        note = "Event loop lag, and resident memory, which does not shrink after a higher level."
        found.append(
            Chart(
                "server",
                "Event loop lag and memory of the server",
                note,
                describe_server(steps),
                partial(_draw_server, view),
            )
        )
    if any(step.generator_loop_lag_p99_ms is not None for step in steps):
        note = "Above its limits a step is invalid."
        found.append(
            Chart("generator", "CPU and lag of the load generator", note, describe_generator(steps),
                  partial(_draw_generator, view))
        )  # fmt: skip
    if report.model is not None:
        note = "The steps that kept pace, the Universal Scalability Law fitted to them, and its 95 % band."
        found.append(
            Chart("model", "Throughput against in-flight deliveries", note, " ".join(report.model.lines),
                  partial(_draw_model, report.model))
        )  # fmt: skip
    return found


def _storm_chart(storm: StormAnswer) -> Chart:
    note = "From the drop until half, 95 % and all of the dropped users had rejoined and received a message."
    title = "Time until resynced, by share dropped"
    return Chart("storms", title, note, describe_storms(storm), partial(draw_storms, storm))


def _drill_chart(drill: DrillRecord, slos: Sequence[RunSlo]) -> Chart:
    note = "Shaded: the command ran. A drop is a connection that the server closed or that failed."
    title = "Users, connections and latency during the drill"
    return Chart("drill", title, note, describe_drill(drill), partial(draw_drill, drill, slos))


def _draw_verdicts(view: _View, figure: Figure, pen: Pen) -> None:
    axes = figure.subplots()
    pen.style(axes, x="seconds since the start of the search", y="users")
    colours = pen.palette
    low, high = view.report.answer.supported_users, view.report.answer.first_failing_users
    if low and high:
        axes.axhspan(low, high, color=colours.first, alpha=0.14, linewidth=0)
    if low:
        axes.axhline(low, color=colours.first, linewidth=1.2, linestyle=(0, (5, 3)))
    times: list[float] = []
    users: list[float] = []
    for step in view.report.steps:
        ends = step.started_s + step.settle_s + (step.window_s or 0.0)
        times += [step.started_s, ends]
        users += [step.users, step.users]
    axes.plot(times, users, color=colours.grid, linewidth=1.5, zorder=2)
    for step in view.report.steps:
        begins = step.started_s + step.settle_s
        ends = begins + (step.window_s or 0.0)
        axes.plot([begins, ends], [step.users] * 2, color=pen.colour(step.verdict), linewidth=3, alpha=0.55)
        pen.mark(axes, (begins + ends) / 2, step.users, step.verdict, size=8)
    for verdict in ("pass", "fail", "invalid"):
        if any(step.verdict == verdict for step in view.report.steps):
            pen.add_to_legend(axes, verdict)
    pen.whole_numbers(axes)
    axes.set_ylim(0, max(users) * 1.12)
    axes.set_xlim(0, max(times) * 1.02)
    pen.legend(axes)


def _draw_latency(view: _View, figure: Figure, pen: Pen) -> None:
    axes = figure.subplots()
    pen.style(axes, x="users", y="milliseconds")
    for rank, colour in (("p99", pen.palette.first), ("p50", pen.palette.second)):
        for clock, dash, name in (("", "-", "intended"), ("sent_", DASHED, "sent")):
            x, y = medians_by_users(view.steps, f"deliver_{clock}{rank}_ms")
            axes.plot(x, y, color=colour, linestyle=dash, linewidth=2, label=f"{rank} {name}")
    for step in view.steps:
        if step.deliver_p99_ms is not None:
            pen.mark(axes, step.users, step.deliver_p99_ms, step.verdict, size=6)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 1000 else count(int(value))))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.set_xlim(left=0)
    for slo in view.slos:
        if slo.is_delivery_latency:
            axes.set_ylim(top=max(axes.get_ylim()[1], slo.threshold * 3))  # room for its label
            pen.threshold(axes, slo.threshold, slo.text)
    pen.legend(axes)


def _draw_load(view: _View, figure: Figure, pen: Pen) -> None:
    rates, cpu = pen.panels(figure, 2)
    _draw_rates(rates, view, pen)
    _draw_cpu(cpu, view, pen)


def _lines(axes: Axes, pen: Pen, steps: Sequence[StepRecord], *, solid: tuple[str, str, float]) -> list[float]:
    """Draw a figure over users with verdicts, and return its medians; `solid` is the field, the label and the scale."""
    name, label, scale = solid
    x, y = medians_by_users(steps, name, scale)
    axes.plot(x, y, color=pen.palette.first, linewidth=2, label=label)
    for step in steps:
        value = getattr(step, name)
        if value is not None:
            pen.mark(axes, step.users, value * scale, step.verdict, size=6)
    axes.set_xlim(left=0)
    return y


def _draw_rates(axes: Axes, view: _View, pen: Pen) -> None:
    pen.style(axes, x="users", y="deliveries/s")
    x, y = medians_by_users(view.steps, "offered_per_s")
    axes.plot(x, y, color=pen.palette.second, linewidth=2, linestyle=DASHED, label="offered")
    _lines(axes, pen, view.steps, solid=("delivered_per_s", "received", 1))
    pen.whole_numbers(axes)
    pen.legend(axes)


def _draw_cpu(axes: Axes, view: _View, pen: Pen) -> None:
    steps, answer = view.steps, view.report.answer
    pen.style(axes, x="users", y="% of one core")
    y = _lines(axes, pen, steps, solid=("server_core_share", "server", 100))
    _draw_busiest(axes, steps, pen)
    x, _ = medians_by_users(steps, "server_core_share")
    at_low = next((cpu for users, cpu in zip(x, y, strict=True) if users == answer.supported_users), None)
    if answer.projected_users and at_low is not None:
        axes.plot(
            [answer.supported_users or 0, answer.projected_users], [at_low, 100],
            color=pen.palette.third, linewidth=2, linestyle=DOTTED, label="projected",
        )  # fmt: skip
    pen.threshold(axes, 100)
    axes.set_ylim(0, max(110.0, *(value * 1.1 for value in y)) if y else 110)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    pen.legend(axes)


def _draw_busiest(axes: Axes, steps: Sequence[StepRecord], pen: Pen) -> None:
    busiest = {step.users: max(step.generator_cpu) * 100 for step in steps if step.generator_cpu}
    users = sorted(busiest)
    axes.plot(
        users, [busiest[n] for n in users], color=pen.palette.second, linewidth=2, linestyle=DASHED, label="generator"
    )


def _draw_server(view: _View, figure: Figure, pen: Pen) -> None:
    lag, memory = pen.panels(figure, 2)
    pen.style(lag, x="users", y="loop lag p99, milliseconds")
    _lines(lag, pen, view.steps, solid=("server_loop_lag_p99_ms", "loop lag", 1))
    lag.set_ylim(bottom=0)
    pen.style(memory, x="users", y="memory, MiB")
    _lines(memory, pen, view.steps, solid=("server_rss_bytes", "resident memory", 1 / 2**20))
    pen.whole_numbers(memory)


def _draw_generator(view: _View, figure: Figure, pen: Pen) -> None:
    cpu, lag = pen.panels(figure, 2)
    pen.style(cpu, x="users", y="% of a core, busiest worker")
    _draw_busiest(cpu, view.steps, pen)
    for step in view.steps:
        if step.generator_cpu:
            pen.mark(cpu, step.users, max(step.generator_cpu) * 100, step.verdict, size=6)
    cpu.set_xlim(left=0)
    cpu.set_ylim(0, 110)
    pen.threshold(cpu, view.report.limits.get("cpu", 0.92) * 100, "limit")
    pen.style(lag, x="users", y="lag p99, milliseconds")
    _lines(lag, pen, view.steps, solid=("generator_loop_lag_p99_ms", "loop lag", 1))
    x, sends = medians_by_users(view.steps, "generator_send_lag_p99_ms")
    lag.plot(x, sends, color=pen.palette.second, linewidth=2, linestyle=DASHED, label="send lag")
    limit = view.report.limits.get("lag_ms")
    if limit is not None:
        # Include every mark, not only medians: a mark far above the axes would squeeze the drawing.
        marks = [step.generator_loop_lag_p99_ms or 0.0 for step in view.steps]
        lag.set_ylim(0, max([limit, *marks, *sends]) * 1.2)
        pen.threshold(lag, limit, "limit")
    pen.legend(lag)


def _draw_model(model: Model, figure: Figure, pen: Pen) -> None:
    axes = figure.subplots()
    pen.style(axes, x="in-flight deliveries (rate x mean latency)", y="deliveries/s")
    n, fitted, low, high = zip(*model.curve, strict=True)
    top = max(x for _, x in model.points) * 1.25
    axes.fill_between(n, low, high, color=pen.palette.first, alpha=0.16, linewidth=0, label="95 % band")
    axes.plot(n, fitted, color=pen.palette.first, linewidth=2, label="fitted law")
    most = max(n)
    axes.plot(
        [0, min(most, top / model.rate.value)], [0, min(most * model.rate.value, top)],
        color=pen.palette.second, linewidth=1.6, linestyle=DASHED, label="linear",
    )  # fmt: skip
    for at, rate in model.points:
        pen.mark(axes, at, rate, "pass", size=6)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 1000 else count(int(value))))
    pen.whole_numbers(axes)
    axes.set_ylim(0, top)
    pen.legend(axes)
