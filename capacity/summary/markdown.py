"""The summary in Markdown, for the summary of a CI job. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from capacity.formatting import VERDICT_SYMBOLS, count, format_ms, money
from capacity.record.step import Verdict
from capacity.summary.fields import Kind
from stampede.verdict.markdown import cell, results, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from capacity.summary.fields import AnswerData, CapacitySummary, StepData, TargetData

_TITLES: Final = {Kind.CAPACITY: "Capacity run", Kind.STORM: "Reconnect storms", Kind.DRILL: "Drill"}
_UNKNOWN: Final = "-"


def markdown_summary(data: CapacitySummary) -> str:
    """Return the verdict, the answer, the SLOs and the steps as Markdown."""
    return "\n".join([*_head(data), *_questions(data), *_slos(data), *_steps(data), ""])


def _head(data: CapacitySummary) -> Iterator[str]:
    verdict = "" if data.verdict is Verdict.PASS and data.kind is not Kind.DRILL else f"{data.verdict}, "
    yield f"### {_TITLES[data.kind]}: {verdict}{cell(data.headline)}"
    yield ""
    yield cell(data.sentence)
    yield ""
    if data.reasons:
        yield from (f"- {cell(reason)}" for reason in data.reasons)
        yield ""


def _questions(data: CapacitySummary) -> Iterator[str]:
    rows = [*(_answers(data.answer) if data.answer else ()), *(_target(data.target) if data.target else ())]
    if rows:
        yield from table("question", "answer")
        yield from (f"| {question} | {cell(answer)} |" for question, answer in rows)
        yield ""


def _answers(answer: AnswerData) -> Iterator[tuple[str, str]]:
    yield "How sure", answer.certainty
    yield "Why it ends there", answer.stop
    if answer.next_steps:
        yield "What to do next", " ".join(answer.next_steps)


def _target(target: TargetData) -> Iterator[tuple[str, str]]:
    parts = [f"{count(target.processes)} processes"]
    if target.cores is not None:
        parts.append(f"{count(target.cores)} cores")
    if target.machines is not None:
        parts.append(f"{count(target.machines)} machines")
    yield f"For {count(target.users)} users", ", ".join(parts)
    if target.cost_per_month is not None:
        yield "What it costs", f"{money(target.cost_per_month)} a month"


def _slos(data: CapacitySummary) -> Iterator[str]:
    yield from results("SLO", ((slo.expression, slo.text) for slo in data.slos))


def _steps(data: CapacitySummary) -> Iterator[str]:
    if data.steps:
        yield from table("users", "verdict", "p50", "p99", "deliveries/s", "server CPU")
        yield from (_step(step) for step in data.steps)
        yield ""


def _step(step: StepData) -> str:
    rate = _UNKNOWN if step.delivered_per_s is None else count(round(step.delivered_per_s))
    cpu = _UNKNOWN if step.server_core_share is None else f"{step.server_core_share * 100:.0f} %"
    verdict = f"{VERDICT_SYMBOLS[step.verdict]} {step.verdict}"
    cells = (count(step.users), verdict, _ms(step.p50_ms), _ms(step.p99_ms), rate, cpu)
    return f"| {' | '.join(cells)} |"


def _ms(value: float | None) -> str:
    return _UNKNOWN if value is None else format_ms(value)
