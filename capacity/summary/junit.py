"""The summary as a JUnit report, which CI systems read. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capacity.record.step import Verdict
from capacity.summary.fields import Kind
from stampede.verdict.junit import Case, Outcome, junit_suite
from stampede.verdict.summary_fields import ThresholdOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from capacity.summary.fields import CapacitySummary, SloData


def junit_report(data: CapacitySummary, lines: Iterable[str]) -> bytes:
    """Return a report with a test case for the verdict and one for each SLO.

    The verdict of a level that failed is a failure, and so is each SLO that it missed. An invalid run is an error,
    since it tells nothing about the server; its SLOs are skipped. A search that found a limit passes.

    Args:
        data: the summary.
        lines: the answer as text, for the output of the suite.
    """
    suite = "drill" if data.kind is Kind.DRILL else "capacity run"
    return junit_suite(suite, [_verdict(data), *(_slo(slo, data.verdict) for slo in data.slos)], data.seconds, lines)


def _verdict(data: CapacitySummary) -> Case:
    message = "; ".join(data.reasons) or data.sentence
    if data.verdict is Verdict.INVALID:
        return Case("verdict", Outcome.ERROR, message, "invalid")
    if data.verdict is Verdict.FAIL:
        return Case("verdict", Outcome.FAILURE, message, "verdict")
    return Case("verdict")


def _slo(slo: SloData, verdict: Verdict) -> Case:
    if slo.result is ThresholdOutcome.MET and verdict is not Verdict.INVALID:
        return Case(slo.expression)
    if slo.result is ThresholdOutcome.FAILED and verdict is Verdict.FAIL:
        return Case(slo.expression, Outcome.FAILURE, slo.text, "slo")
    why = "the run is invalid; " if verdict is Verdict.INVALID else ""
    return Case(slo.expression, Outcome.SKIPPED, f"{why}{slo.text}")
