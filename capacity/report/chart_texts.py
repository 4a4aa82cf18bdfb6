"""Notes below the charts, and the text alternatives of the charts. Pure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from capacity.formatting import about, count, format_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record.report import RunReport
    from capacity.record.step import StepRecord


def medians_by_users(steps: Sequence[StepRecord], figure: str, scale: float = 1) -> tuple[list[int], list[float]]:
    """Return the levels, and the median of a figure over the steps at each; unknown values are left out."""
    known: dict[int, list[float]] = {}
    for step in steps:
        value = getattr(step, figure)
        if value is not None:
            known.setdefault(step.users, []).append(value * scale)
    levels = sorted(known)
    return levels, [median(known[users]) for users in levels]


def verdict_note(report: RunReport) -> str:
    """Return the note of the chart of verdicts."""
    answer = report.answer
    note = "Each step settles, then is measured over its window (thick line). ● pass, ▼ fail, □ invalid."
    if not answer.supported_users:
        return note
    shaded = "; shaded: the interval that contains the limit" if answer.first_failing_users else ""
    return f"{note} Dashed: the highest level that held{shaded}."


def describe_verdicts(report: RunReport) -> str:
    """Return the steps in order, with users and verdict."""
    parts = [f"{count(step.users)} users: {step.verdict}" for step in report.steps]
    return f"Steps in order. {'; '.join(parts)}."


def describe_latency(steps: Sequence[StepRecord]) -> str:
    """Return p50 and p99 of each level."""
    levels, p50 = medians_by_users(steps, "deliver_p50_ms")
    _, p99 = medians_by_users(steps, "deliver_p99_ms")
    parts = [
        f"{count(n)} users: p50 {format_ms(a)}, p99 {format_ms(b)}" for n, a, b in zip(levels, p50, p99, strict=True)
    ]
    return f"Latency from the intended send time. {'; '.join(parts)}." if parts else "No delivery was measured."


def describe_load(steps: Sequence[StepRecord]) -> str:
    """Return deliveries and server CPU of each step."""
    parts = []
    for step in steps:
        cpu = "unknown" if step.server_core_share is None else f"{step.server_core_share * 100:.0f} % of a core"
        rates = f"{step.delivered_per_s or 0:.0f} of {step.offered_per_s or 0:.0f} deliveries/s"
        parts.append(f"{count(step.users)} users: {rates}, server CPU {cpu}")
    return f"{'; '.join(parts)}."


def describe_server(steps: Sequence[StepRecord]) -> str:
    """Return loop lag and memory of the server at each level."""
    parts = []
    for users in sorted({step.users for step in steps}):
        at_level = [step for step in steps if step.users == users]
        lags = medians_by_users(at_level, "server_loop_lag_p99_ms")[1]
        memory = medians_by_users(at_level, "server_rss_bytes", 1 / 2**20)[1]
        lag = format_ms(lags[0]) if lags else "unknown"
        parts.append(f"{count(users)} users: loop lag p99 {lag}, {about(memory[0]) if memory else 'unknown'} MiB")
    return f"{'; '.join(parts)}."


def describe_generator(steps: Sequence[StepRecord]) -> str:
    """Return CPU and loop lag of the load generator in each step."""
    parts = []
    for step in steps:
        cpu = f"{max(step.generator_cpu) * 100:.0f} % of a core" if step.generator_cpu else "unknown"
        lag = "unknown" if step.generator_loop_lag_p99_ms is None else format_ms(step.generator_loop_lag_p99_ms)
        parts.append(f"{count(step.users)} users: CPU {cpu}, loop lag p99 {lag}")
    return f"{'; '.join(parts)}."
