"""The summary of a run in Markdown, for the summary of a CI job; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.measure.formatting import precise_ms
from stampede.verdict.markdown import cell, results, table
from stampede.verdict.summary_fields import ThresholdOutcome, Verdict
from stampede.verdict.verdict_words import final_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.verdict.summary_fields import QuantilesMs, SummaryData


def step_summary(data: SummaryData) -> str:
    """Return the verdict, the thresholds, the ledger and the latency as Markdown."""
    return "\n".join([*_verdict(data), *_thresholds(data), *_ledger(data), *_latency(data), ""])


def _verdict(data: SummaryData) -> Iterator[str]:
    failed = sum(threshold.result is ThresholdOutcome.FAILED for threshold in data.thresholds)
    words = final_words(is_invalid=data.verdict is Verdict.INVALID, failed=failed, number=len(data.thresholds))
    yield f"### Load test: {words}"
    yield ""
    yield f"{_shown(data.users)} users, {_shown(data.seconds)} s, {cell(data.scenario or 'no scenario')}"
    yield ""
    if data.reasons:
        yield from (f"- {cell(reason)}" for reason in data.reasons)
        yield ""


def _thresholds(data: SummaryData) -> Iterator[str]:
    yield from results("threshold", ((one.expression, one.text) for one in data.thresholds))


def _ledger(data: SummaryData) -> Iterator[str]:
    ledger = data.ledger
    names = ("expected", "received", "lost", "duplicated", "reordered")
    yield from table("deliveries", *names)
    yield f"| messages | {' | '.join(_shown(getattr(ledger, name)) for name in names)} |"
    yield ""


def _latency(data: SummaryData) -> Iterator[str]:
    yield from table("latency", "p50", "p90", "p99", "p99.9", "max")
    yield _row("from intended send", data.latency_ms.intended)
    yield _row("from actual send", data.latency_ms.sent)
    yield ""


def _row(name: str, quantiles: QuantilesMs) -> str:
    values = (quantiles.p50, quantiles.p90, quantiles.p99, quantiles.p99_9, quantiles.max)
    return f"| {name} | {' | '.join(precise_ms(None if value is None else value * 1e6) for value in values)} |"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.15g}"
