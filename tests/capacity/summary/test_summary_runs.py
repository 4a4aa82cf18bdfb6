"""Real runs write the same verdict and figures to the terminal, report.json, JSON, JUnit and Markdown."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from markdown_it import MarkdownIt

from capacity.formatting import count, format_ms
from tests.capacity.run_options import QUICK, TOLERANT, USERS, run_until
from tests.stampede.verdict import junit_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.capacity.fixtures import Run

MET, FAILED, INVALID, INTERRUPTED = 0, 99, 98, 130


@dataclass(frozen=True)
class Forms:
    """The files of the latest run."""

    data: Any
    cases: dict[str, str]
    output: str
    markdown: str

    @classmethod
    def of(cls, folder: Path) -> Forms:
        body = (folder / "out.xml").read_bytes()
        assert junit_schema.problems(body) == []
        cases = {name: "".join(one.tag for one in found) for name, found in junit_schema.cases(body).items()}
        (latest,) = (folder / "step.md").read_text().split("### ")[-1:]
        return cls(json.loads((folder / "out.json").read_text()), cases, body.decode(), latest)

    def assert_equal_to(self, run: Run, code: int) -> None:
        """Assert that all forms have the verdict and the figures of a run."""
        report, data = json.loads(msgspec.json.encode(run.report)), self.data
        assert data["exit_code"] == code
        assert (data["status"], data["scenario"]) == (report["status"], report["answer"]["scenario"])
        assert data["sentence"] == report["answer"]["sentence"]
        if code != INTERRUPTED:  # whose output was read up to a step
            assert data["sentence"] in run.output
            assert all(f"next: {step}" in run.output for step in (data["answer"] or {}).get("next_steps", []))
        assert data["sentence"].replace("<", "&lt;").replace("'", "&#39;") in self.output.replace("'", "&#39;")
        assert "<table>" in MarkdownIt().enable("table").render(self.markdown)
        assert [step["users"] for step in data["steps"]] == [step["users"] for step in report["steps"]]
        for step, of_report in zip(data["steps"], report["steps"], strict=True):
            assert step["p99_ms"] == of_report["deliver_p99_ms"]
            if step["p99_ms"] is not None:
                assert f"| {count(step['users'])} | " in self.markdown
                assert f" | {format_ms(step['p99_ms'])} | " in self.markdown
        for slo in data["slos"]:
            assert f"| `{slo['expression']}` | {slo['text']} |" in self.markdown
        assert list(self.cases) == ["verdict", *report["levels"]]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Return the options for the files of `Forms`, which are written to the folder of the test."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    return ("--summary-json", str(tmp_path / "out.json"), "--junit", str(tmp_path / "out.xml"))


def test_a_passing_level(capacity: Callable[..., Run], tmp_path: Path, files: tuple[str, ...]) -> None:
    target = ("--target-users", "100", "--price-per-core", "25")
    run = run_until(capacity, MET, *TOLERANT, *files, *target, "--bounded", USERS)
    forms = Forms.of(tmp_path)
    forms.assert_equal_to(run, MET)
    assert (forms.data["verdict"], forms.data["reasons"]) == ("pass", [])
    assert forms.cases == {"verdict": "", "deliver_p99<60s": ""}
    sizing = run.report.sizing
    assert sizing is not None
    assert forms.data["target"]["cost_per_month"] == sizing.cost_per_month == 25 * (sizing.cores or 0)
    assert f"cost: {sizing.cost}" in run.output


def test_a_failing_level(capacity: Callable[..., Run], tmp_path: Path, files: tuple[str, ...]) -> None:
    slos = ("--slo", "deliver_p50<1us", "--slo", "loss<100%")
    run = run_until(capacity, FAILED, *QUICK, *files, *slos, "--bounded", USERS)
    forms = Forms.of(tmp_path)
    forms.assert_equal_to(run, FAILED)
    assert forms.data["verdict"] == "fail"
    assert forms.data["reasons"][0].startswith("missed deliver_p50<1us: ")
    assert forms.cases == {"verdict": "failure", "deliver_p50<1us": "failure", "loss<100%": ""}
    assert [slo["result"] for slo in forms.data["slos"]] == ["failed", "met"]


def test_an_invalid_run_and_an_interrupted_one(
    capacity: Callable[..., Run], tmp_path: Path, files: tuple[str, ...]
) -> None:
    # No user uploads, so nothing is known about these requests.
    run = run_until(capacity, INVALID, *TOLERANT, *files, "--slo", "upload:p99<1s", "--bounded", USERS)
    forms = Forms.of(tmp_path)
    forms.assert_equal_to(run, INVALID)
    assert forms.data["verdict"] == "invalid"
    assert forms.cases == {"verdict": "error", "deliver_p99<60s": "skipped", "upload:p99<1s": "skipped"}
    run = capacity(*TOLERANT, *files, "--steps", ",".join([USERS] * 50))
    run.await_first_verdict()
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == INTERRUPTED
    forms = Forms.of(tmp_path)
    forms.assert_equal_to(run, INTERRUPTED)
    assert (forms.data["verdict"], forms.data["status"]) == ("invalid", "partial")
    assert forms.data["reasons"][0] == "interrupted by Ctrl-C"
    assert forms.cases == {"verdict": "error", "deliver_p99<60s": "skipped"}


def test_a_drill(capacity: Callable[..., Run], tmp_path: Path, files: tuple[str, ...]) -> None:
    for _ in range(3):  # a busy machine makes a run invalid
        run = capacity(*TOLERANT, *files, "--users", USERS, "--run", "true", command="drill")
        code = run.wait()
        if code != INVALID:
            break
    assert code == MET, run.output
    forms = Forms.of(tmp_path)
    forms.assert_equal_to(run, MET)
    assert (forms.data["kind"], forms.data["answer"]) == ("drill", None)
    assert forms.data["drill"]["users"] == int(USERS)
    assert forms.cases["verdict"] == ""
    assert forms.markdown.startswith("Drill: pass, 0 of 2 chatting users were dropped")


@pytest.mark.parametrize("command", ["", "drill"])
def test_a_file_in_a_missing_folder_is_refused_before_the_run(
    capacity: Callable[..., Run], tmp_path: Path, command: str
) -> None:
    own = ("--users", "2", "--run", "true") if command else ("--bounded", "2")
    run = capacity(*own, "--junit", str(tmp_path / "none" / "out.xml"), command=command)
    assert run.wait() == 2
    assert run.error == f"capacity: --junit {tmp_path}/none/out.xml: no such directory"
