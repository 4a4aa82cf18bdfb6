"""The summary of a run as a JUnit report, which CI systems read; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from stampede.verdict.summary_fields import ThresholdOutcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stampede.verdict.summary_fields import SummaryData, ThresholdData

SUITE: Final = "load test"
VERDICT: Final = "verdict"

_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot contain: texts of a server may have them."""


class Outcome(StrEnum):
    """What a test case did if it did not pass. The value is the element of the report."""

    FAILURE = "failure"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Case:
    """One test case: it passed, or has an outcome with a message; `kind` is the type of a failure or an error."""

    name: str
    outcome: Outcome | None = None
    message: str = ""
    kind: str | None = None


def junit_report(data: SummaryData, lines: Iterable[str]) -> bytes:
    """Return a report with a test case for the verdict and one for each threshold.

    A threshold that was not met is a failure. An invalid run and an unmeasured threshold are errors, since they tell
    nothing about the server. The measured thresholds of an invalid run are skipped.

    Args:
        data: the summary.
        lines: of the summary as text, for the output of the suite.
    """
    cases = [_verdict_case(data), *(_threshold_case(threshold, data.verdict) for threshold in data.thresholds)]
    return junit_suite(SUITE, cases, data.seconds, lines)


def junit_suite(suite_name: str, cases: Sequence[Case], seconds: float | None, lines: Iterable[str]) -> bytes:
    """Return a report with one suite.

    Args:
        suite_name: name of the suite, and class of its cases.
        cases: its test cases.
        seconds: its duration, if that is known.
        lines: its output.
    """
    suite = ET.Element("testsuite", name=suite_name, tests=str(len(cases)))
    for attribute, outcome in (
        ("failures", Outcome.FAILURE),
        ("errors", Outcome.ERROR),
        ("skipped", Outcome.SKIPPED),
    ):
        suite.set(attribute, str(sum(case.outcome is outcome for case in cases)))
    if seconds is not None:
        suite.set("time", f"{seconds:.3f}")
    suite.extend(_element(suite_name, case) for case in cases)
    ET.SubElement(suite, "system-out").text = _legal("\n".join(lines))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _element(suite_name: str, case: Case) -> ET.Element:
    element = ET.Element("testcase", classname=suite_name, name=_legal(case.name))
    if case.outcome is not None:
        outcome = ET.SubElement(element, case.outcome.value, message=_legal(case.message))
        if case.kind is not None:
            outcome.set("type", case.kind)
    return element


def _verdict_case(data: SummaryData) -> Case:
    if data.verdict is Verdict.INVALID:
        return Case(VERDICT, Outcome.ERROR, "; ".join(data.reasons), "invalid")
    return Case(VERDICT)


def _threshold_case(threshold: ThresholdData, verdict: Verdict | None) -> Case:
    name, figures = threshold.expression, threshold.text
    if threshold.result is ThresholdOutcome.UNMEASURED:
        return Case(name, Outcome.ERROR, figures, "unmeasured")
    if verdict is Verdict.INVALID:
        return Case(name, Outcome.SKIPPED, f"the run is invalid; {figures}")
    if threshold.result is ThresholdOutcome.FAILED:
        return Case(name, Outcome.FAILURE, figures, "threshold")
    return Case(name)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
