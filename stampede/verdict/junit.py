"""The summary of a run as a JUnit report, which CI systems read; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from stampede.verdict.summary_fields import ThresholdOutcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stampede.verdict.summary_fields import SummaryData, ThresholdData

SUITE: Final = "load test"
VERDICT: Final = "verdict"

_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot contain: texts of a server may have them."""


def junit_report(data: SummaryData, lines: Iterable[str]) -> bytes:
    """Return a report with a test case for the verdict and one for each threshold.

    A threshold that was not met is a failure. An invalid run and an unmeasured threshold are errors, since they tell
    nothing about the server. The measured thresholds of an invalid run are skipped.

    Args:
        data: the summary.
        lines: of the summary as text, for the output of the suite.
    """
    cases = [_verdict_case(data), *(_threshold_case(threshold, data.verdict) for threshold in data.thresholds)]
    suite = ET.Element("testsuite", name=SUITE, tests=str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    if data.seconds is not None:
        suite.set("time", f"{data.seconds:.3f}")
    suite.extend(cases)
    ET.SubElement(suite, "system-out").text = _legal("\n".join(lines))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _verdict_case(data: SummaryData) -> ET.Element:
    case = _case(VERDICT)
    if data.verdict is Verdict.INVALID:
        _add(case, "error", "; ".join(data.reasons), "invalid")
    return case


def _threshold_case(threshold: ThresholdData, verdict: Verdict | None) -> ET.Element:
    case, figures = _case(threshold.expression), threshold.text
    if threshold.result is ThresholdOutcome.UNMEASURED:
        _add(case, "error", figures, "unmeasured")
    elif verdict is Verdict.INVALID:
        _add(case, "skipped", f"the run is invalid; {figures}")
    elif threshold.result is ThresholdOutcome.FAILED:
        _add(case, "failure", figures, "threshold")
    return case


def _case(name: str) -> ET.Element:
    return ET.Element("testcase", classname=SUITE, name=_legal(name))


def _add(case: ET.Element, tag: str, message: str, kind: str | None = None) -> None:
    outcome = ET.SubElement(case, tag, message=_legal(message))
    if kind is not None:
        outcome.set("type", kind)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
