"""The end of a run in a few lines: what was offered, what came, how late, and whether to believe it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadtest import _measures

if TYPE_CHECKING:
    from loadtest._report import Totals
    from metrics.loglinear import LogLinear

INVALID: Final = 98
"""Exit code of a run in which the generator was the limit."""

_QUANTILES: Final = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))


def problems_of(totals: Totals) -> list[str]:
    """Return why the run is invalid, each with the process it happened in."""
    several = len(totals.reports) > 1
    return [
        f"worker {report.index}: {problem}" if several else problem
        for report in totals.reports
        for problem in report.problems
    ]


def summary(totals: Totals) -> list[str]:
    """Return the lines; a percentile never stands without the ledger."""
    sends, deliveries = totals.sends, totals.deliveries
    lines = [
        "",
        "Chat load test",
        f"  offered     {sends.intended} messages due: {sends.sent} sent ({sends.late} late), {sends.skipped} skipped",
        (
            f"  deliveries  {deliveries.expected} expected, {deliveries.received} received, {deliveries.lost} lost, "
            f"{deliveries.duplicated} duplicated, {deliveries.reordered} reordered"
        ),
    ]
    if deliveries.late:
        lines.append(f"              {deliveries.late} of the lost came after all, seconds too late")
    if deliveries.churned or deliveries.foreign_clock:
        lines.append(
            f"              not counted: {deliveries.churned} in flight when an end left, "
            f"{deliveries.foreign_clock} of another run"
        )
    lines += [_row("latency", "from intended send", totals.by_intended), _row("", "from actual send", totals.by_sent)]
    resync = totals.times[_measures.RESYNC]
    if resync.count:
        lines.append(_row("resync", f"{resync.count} of {totals.total('drops')} drops", resync))
    lacking = sorted({answer for report in totals.reports for answer in report.lacking})
    if lacking:
        lines.append(f"  server      never answers with {', '.join(lacking)}: not waited for, not checked")
    lines += [_row("generator", "send lag", totals.send_lag), _row("", "loop lag", totals.loop_lag)]
    found = problems_of(totals)
    lines += [f"  INVALID     {problem}" for problem in found]
    if found:
        lines.append(
            "              The generator was the limit: these latencies are its own, too. Use more --processes."
        )
    else:
        lines.append("  verdict     valid: the generator kept up")
    return [*lines, ""]


def _row(head: str, what: str, histogram: LogLinear) -> str:
    values = "  ".join(f"{name} {_ms(histogram.quantile(q))}" for q, name in _QUANTILES)
    return f"  {head:<11} {what:<19} {values}"


def _ms(ns: float | None) -> str:
    return "-" if ns is None else f"{ns / 1e6:.2f} ms"
