"""Results of runs, for tests of the forms of a summary."""

from __future__ import annotations

from stampede.measure.report import Totals
from stampede.verdict.slo import parse_slo
from stampede.verdict.summary import Circumstances, RunResult
from stampede.verdict.thresholds import Threshold
from tests.figures import figures
from tests.stampede.measure.reports import report


def result(*texts: str, problems: list[str] | None = None, circumstances: Circumstances | None = None) -> RunResult:
    """Return the result of a run with 1 % of loss and these thresholds, each judged in two windows."""
    thresholds = [Threshold(parse_slo(text), 10) for text in texts]
    for threshold in thresholds:
        threshold.update(10, figures(expected=1000, operations=100))
        threshold.update(20, figures(expected=2000, lost=20, operations=200))
    totals = Totals([report(0, problems=problems)])
    return RunResult(totals, (), thresholds, circumstances=circumstances or Circumstances())
