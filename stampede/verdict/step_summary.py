"""The summary of a run in Markdown, for the summary of a CI job; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.measure.formatting import precise_ms
from stampede.verdict.summary_fields import ThresholdOutcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.verdict.summary_fields import QuantilesMs, SummaryData


def step_summary(data: SummaryData) -> str:
    """Return the verdict, the thresholds, the ledger and the latency as Markdown."""
    return "\n".join([*_verdict(data), *_thresholds(data), *_ledger(data), *_latency(data), ""])


def _verdict(data: SummaryData) -> Iterator[str]:
    yield f"### Load test: {_verdict_words(data)}"
    yield ""
    yield f"{_shown(data.users)} users, {_shown(data.seconds)} s, {_cell(data.scenario or 'no scenario')}"
    yield ""
    if data.reasons:
        yield from (f"- {_cell(reason)}" for reason in data.reasons)
        yield ""


def _verdict_words(data: SummaryData) -> str:
    """Return the verdict on a run that has ended, in few words."""
    if data.verdict is Verdict.INVALID:
        return "invalid, the results are not usable"
    failed = sum(threshold.result is ThresholdOutcome.FAILED for threshold in data.thresholds)
    if failed:
        return f"failed, {failed} of {len(data.thresholds)} thresholds not met"
    return "passed, all thresholds met" if data.thresholds else "valid, without thresholds"


def _thresholds(data: SummaryData) -> Iterator[str]:
    if data.thresholds:
        yield from _table("threshold", "result")
        yield from (f"| `{_cell(one.expression)}` | {one.text} |" for one in data.thresholds)
        yield ""


def _ledger(data: SummaryData) -> Iterator[str]:
    ledger = data.ledger
    names = ("expected", "received", "lost", "duplicated", "reordered")
    yield from _table("deliveries", *names)
    yield f"| messages | {' | '.join(_shown(getattr(ledger, name)) for name in names)} |"
    yield ""


def _latency(data: SummaryData) -> Iterator[str]:
    yield from _table("latency", "p50", "p90", "p99", "p99.9", "max")
    yield _row("from intended send", data.latency_ms.intended)
    yield _row("from actual send", data.latency_ms.sent)
    yield ""


def _table(*titles: str) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield "|---" * len(titles) + "|"


def _row(name: str, quantiles: QuantilesMs) -> str:
    values = (quantiles.p50, quantiles.p90, quantiles.p99, quantiles.p99_9, quantiles.max)
    return f"| {name} | {' | '.join(precise_ms(None if value is None else value * 1e6) for value in values)} |"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.15g}"


def _cell(text: str) -> str:
    """Return a text without the characters that end a cell or a row."""
    return text.replace("|", "\\|").replace("\n", " ")
