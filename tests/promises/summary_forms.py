"""The summary of one run in its files, and a comparison of them with the terminal."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import jsonschema
from markdown_it import MarkdownIt

from stampede.measure.formatting import precise_ms
from stampede.verdict.slo import parse_slo
from stampede.verdict.summary_schema import summary_schema
from tests.stampede.fixtures import FinishedRun
from tests.stampede.verdict import junit_schema

if TYPE_CHECKING:
    from pathlib import Path

LEDGER = ("expected", "received", "lost", "duplicated", "reordered")
QUANTILES = ("p50", "p90", "p99", "p99.9")


@dataclass(frozen=True)
class Forms:
    """The files of one run.

    Attributes:
        data: the summary as JSON.
        junit: the JUnit report.
        markdown: the summary of the CI job, rendered to HTML.
        report: the section of Locust's HTML report, and `embedded`, the JSON in that report; None without a report.
    """

    data: Any
    junit: bytes
    markdown: ET.Element
    report: ET.Element | None
    embedded: Any

    @classmethod
    def of(cls, folder: Path, run: int = 1) -> Forms:
        data = json.loads((folder / f"{run}.json").read_text())
        jsonschema.validate(data, summary_schema(), jsonschema.Draft202012Validator)
        markdown = "### " + (folder / "step.md").read_text().split("### ")[run]
        html = MarkdownIt("commonmark").enable("table").render(markdown)
        file = folder / "report.html"
        report, embedded = parts_of(file.read_text()) if file.exists() else (None, None)
        return cls(data, (folder / f"{run}.xml").read_bytes(), element(f"<div>{html}</div>"), report, embedded)

    def assert_equal_to(self, shown: str) -> None:
        """Assert that all forms have the figures of a summary on the terminal."""
        ended = FinishedRun(self.data["exit_code"], shown, "")
        self._assert_same_figures(ended)
        self._assert_same_verdict(ended)
        if self.report is not None:
            assert self.embedded == self.data
            self._assert_same_report(self.report, shown)

    def _assert_same_figures(self, ended: FinishedRun) -> None:
        data, ledger, rendered = self.data, ended.ledger(), rows(self.markdown)
        assert [data["ledger"][name] for name in LEDGER] == [ledger[name] for name in LEDGER]
        assert rendered["messages"] == [str(ledger[name]) for name in LEDGER]
        assert data["ledger"]["divergent"] == ended.order().get("divergent")
        for clock, name in (("intended", "intended"), ("actual", "sent")):
            values = {q: precise_ms(ms and ms * 1e6) for q, ms in data["latency_ms"][name].items()}
            assert on_terminal(ended.out, f"from {clock} send") == [values[q] for q in QUANTILES]
            assert rendered[f"from {clock} send"] == list(values.values())
        generator = data["generator"]
        assert f"{generator['cpu']:.0%} of a core, {generator['memory_mib']:.0f} MiB at most" in ended.out
        assert f" in each of {generator['workers']}" in ended.out

    def _assert_same_verdict(self, ended: FinishedRun) -> None:
        data, cases, rendered = self.data, self.cases(), rows(self.markdown)
        assert (data["verdict"] == "invalid") == (data["exit_code"] == 98) == bool(data["reasons"])
        assert data["reasons"] == ended.invalid == texts(self.markdown, "li")
        assert list(cases) == ["verdict", *(threshold["expression"] for threshold in data["thresholds"])]
        assert cases["verdict"] == ("error" if data["verdict"] == "invalid" else "")
        words = {"met": "met: worst {}", "failed": "FAILED in {failed_windows} of {windows} windows: worst {}"}
        for threshold in data["thresholds"]:
            name, result = threshold["expression"], threshold["result"]
            worst = parse_slo(name).show(threshold["worst"])
            assert re.search(rf"{name} +{re.escape(words[result].format(worst, **threshold))} ", ended.out)
            (shown,) = rendered[name]
            assert re.fullmatch(rf"{result} in .*: worst {worst}", shown)
            outcome = {"met": "", "failed": "failure"}[result]
            assert cases[name] == ("skipped" if data["verdict"] == "invalid" else outcome)

    def _assert_same_report(self, report: ET.Element, shown: str) -> None:
        """Assert that the section of Locust's report has the figures and texts of the terminal."""
        found = rows(report)
        assert found["deliveries"] == [str(self.data["ledger"][name]) for name in LEDGER]
        for name in ("from intended send", "from actual send", "send lag", "loop lag"):
            assert found[name][:4] == on_terminal(shown, name)
        for threshold in self.data["thresholds"]:
            (line,) = (text for text in texts(report, "p") if text.startswith(threshold["expression"]))
            worst = parse_slo(threshold["expression"]).show(threshold["worst"])
            windows, missed = threshold["windows"], threshold["failed_windows"]
            count = f"missed in {missed}" if missed else f"met in {windows}"
            assert f" {threshold['result']} {count} of {windows} windows; worst {worst} (" in line
        assert texts(report, "li") == self.data["reasons"]
        generator = self.data["generator"]
        cpu_and_memory = f"CPU {generator['cpu']:.0%} of a core, memory {generator['memory_mib']:.0f} MiB at most"
        assert any(text.startswith(cpu_and_memory) for text in texts(report, "p"))
        (mixed,) = (text for text in texts(report, "p") if text.startswith("Locust's row Aggregated"))
        assert f"  aggregated  {mixed}\n" in shown
        (heading,) = texts(report, "h2")
        (markdown,) = texts(self.markdown, "h3")
        assert heading.removeprefix("Verdict ") == markdown.removeprefix("Load test: ")

    def cases(self) -> dict[str, str]:
        """Return what is in each test case of the report, by its name; nothing if it passed."""
        assert junit_schema.problems(self.junit) == []
        return {name: "".join(one.tag for one in found) for name, found in junit_schema.cases(self.junit).items()}


def parts_of(report: str) -> tuple[ET.Element, Any]:
    """Return the section of Locust's HTML report, and the summary in it as JSON."""
    (section,) = re.findall(r'<section class="stampede-verdict".*?</section>', report, re.DOTALL)
    (data,) = re.findall(r'<script type="application/json" id="stampede-summary">(.*?)</script>', report)
    return element(section), json.loads(data)


def element(html: str) -> ET.Element:
    return ET.fromstring(html)  # noqa: S314 - of our own


def texts(found: ET.Element, tag: str) -> list[str]:
    """Return the texts of the elements with a tag, each in one line."""
    return [" ".join("".join(one.itertext()).split()) for one in found.iter(tag)]


def rows(found: ET.Element) -> dict[str, list[str]]:
    """Return the cells of each row in tables, by their first cell."""
    cells = [["".join(cell.itertext()).strip() for cell in row] for row in found.iter("tr")]
    return {name: values for name, *values in cells}


def on_terminal(shown: str, name: str) -> list[str]:
    """Return the percentiles of a row on the terminal."""
    (line,) = re.findall(rf"^.{{14}}{name}[a-z, ]* p50 .*", shown, re.MULTILINE)
    return [re.split(r"  |$", line.partition(f" {q} ")[2])[0] for q in QUANTILES]
