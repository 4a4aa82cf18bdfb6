"""The forms of a summary agree with each other, with report.json and with the terminal."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from markdown_it import MarkdownIt

from capacity.config.settings import read_settings
from capacity.errors import RunError, UsageError
from capacity.model.sizing import Demand, size_for
from capacity.record.step import Verdict
from capacity.report.answer import build_answer
from capacity.search.search import Ending, Plan
from capacity.storms.result import storm_answer
from capacity.summary import fields
from capacity.summary.data import summary_of
from capacity.summary.fields import CapacitySummary, Kind
from capacity.summary.files import check_summary_files, write_summary
from capacity.summary.junit import junit_report
from capacity.summary.markdown import markdown_summary
from stampede.verdict.summary_fields import ThresholdOutcome
from tests.capacity import make
from tests.capacity.drill.make_drill import record as drill_record
from tests.capacity.drill.make_drill import report as drill_report
from tests.capacity.storms.test_storms import record
from tests.stampede.verdict import junit_schema
from tests.tables import rows

if TYPE_CHECKING:
    from pathlib import Path

    from capacity.record.report import RunReport
    from capacity.record.step import StepRecord

MEASURED = {"deliver_p99<250ms": 8.0, "loss<0.1%": 0.0, "errors<1%": 0.005}
MISSED = MEASURED | {"deliver_p99<250ms": 1840.0}


def passing(users: int) -> StepRecord:
    return make.step(users, figures=MEASURED)


def failing(users: int) -> StepRecord:
    return make.failing(users, figures=MISSED)


def bounded(step: StepRecord) -> RunReport:
    answer = build_answer(make.question(plan=Plan(given=(step.users,))), [step], Ending.STEPS_DONE)
    return make.report([step], answer=answer)


def searched() -> RunReport:
    steps = [passing(100), passing(200), failing(300), passing(200), failing(300), passing(200)]
    report = make.report(steps)
    return msgspec.structs.replace(report, sizing=size_for(Demand(1000, 0.3, 2, 25.0), report.answer, steps))


def interrupted() -> RunReport:
    return make.report([passing(100)], None, status="partial", status_reason="interrupted by Ctrl-C")


def stormed() -> RunReport:
    storms = [record(10), *[record(20)] * 3, record(40, Verdict.FAIL)]
    told = storm_answer(storms, users=100, slos=["resync_p95<5s"], backoff="none", ending=Ending.CONVERGED)
    return make.report([passing(100)], Ending.STEPS_DONE, storm=told, levels=["resync_p95<5s"])


RUNS: dict[str, tuple[RunReport, int, Verdict]] = {
    "a search": (searched(), 0, Verdict.PASS),
    "a passing level": (bounded(passing(100)), 0, Verdict.PASS),
    "a failing level": (bounded(failing(100)), 99, Verdict.FAIL),
    "an invalid level": (bounded(make.generator_limited(100, figures=MISSED)), 98, Verdict.INVALID),
    "an interrupted run": (interrupted(), 130, Verdict.INVALID),
    "nothing measured": (
        make.report([], None, status="partial", status_reason="the server ended"),
        98,
        Verdict.INVALID,
    ),
    "storms": (stormed(), 0, Verdict.PASS),
    "a drill": (drill_report(drill_record()), 0, Verdict.PASS),
}


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> tuple[RunReport, int, Verdict]:
    return RUNS[request.param]


def cases(data: CapacitySummary) -> dict[str, tuple[str, str]]:
    """Return the outcome and the message of each test case; empty if it passed."""
    body = junit_report(data, [data.sentence])
    assert junit_schema.problems(body) == []
    found = junit_schema.cases(body)
    return {name: next(((one.tag, one.attrib["message"]) for one in inner), ("", "")) for name, inner in found.items()}


def test_a_summary_has_the_verdict_and_the_figures_of_the_report(run: tuple[RunReport, int, Verdict]) -> None:
    report, code, verdict = run
    data = summary_of(report, code)
    assert (data.exit_code, data.verdict, data.status) == (code, verdict, report.status)
    assert bool(data.reasons) == (verdict is not Verdict.PASS)
    told = json.loads(msgspec.json.encode(report))
    shown = json.loads(data.to_json())
    assert shown["sentence"] == told["answer"]["sentence"]
    if shown["answer"] is not None:
        assert shown["answer"].items() <= told["answer"].items()
    for step, of_report in zip(shown["steps"], told["steps"], strict=True):
        assert (step["users"], step["verdict"], step["reasons"]) == (
            of_report["users"],
            of_report["verdict"],
            of_report["reasons"],
        )
        assert (step["p99_ms"], step["lost"]) == (of_report["deliver_p99_ms"], of_report["lost"])
    for name in ("storm", "drill"):
        if shown[name] is not None:
            assert shown[name].items() <= told[name].items()
    assert msgspec.json.decode(data.to_json(), type=CapacitySummary) == data


def test_the_junit_report_has_a_case_for_the_verdict_and_each_slo(run: tuple[RunReport, int, Verdict]) -> None:
    report, code, verdict = run
    data = summary_of(report, code)
    found = cases(data)
    assert list(found) == ["verdict", *report.levels]
    wrong = {Verdict.PASS: "", Verdict.FAIL: "failure", Verdict.INVALID: "error"}
    assert found["verdict"][0] == wrong[verdict]
    for slo in data.slos:
        outcome, message = found[slo.expression]
        if verdict is Verdict.INVALID or slo.result is ThresholdOutcome.UNMEASURED:
            assert outcome == "skipped"
            assert message.endswith(slo.text)
        else:
            assert outcome == ("failure" if slo.result is ThresholdOutcome.FAILED else "")


def test_the_markdown_has_the_answer_the_slos_and_the_steps(run: tuple[RunReport, int, Verdict]) -> None:
    report, code, _ = run
    data = summary_of(report, code)
    text = markdown_summary(data)
    html = MarkdownIt().enable("table").render(text)
    assert html.count("<h3>") == 1
    assert html.count("<table>") == bool(data.answer) + bool(data.slos) + bool(data.steps)
    assert "|" not in re.sub(r"<code>.*?</code>", "", html), "every table is rendered"
    words = re.sub(r"\s+", " ", html)
    assert data.sentence.replace("<", "&lt;").replace('"', "&quot;").replace("'", "&#x27;")[:40] in words
    for slo in data.slos:
        assert f"| `{slo.expression}` | {slo.text} |" in text
    assert len(re.findall(r"<tr>", html)) >= len(data.steps) + len(data.slos)


def test_slos_have_their_figures_at_the_level_of_the_answer() -> None:
    held = {slo.expression: slo for slo in summary_of(searched(), 0).slos}
    assert held["deliver_p99<250ms"].text == "met at 200 users: 8 ms"
    assert (held["errors<1%"].value, held["errors<1%"].users) == (0.005, 200)
    failed = {slo.expression: slo for slo in summary_of(bounded(failing(100)), 99).slos}
    assert failed["deliver_p99<250ms"].text == "failed at 100 users: 1.84 s"
    assert failed["loss<0.1%"].result is ThresholdOutcome.MET
    none = summary_of(make.report([], None), 98).slos
    assert {(slo.result, slo.users, slo.text) for slo in none} == {(ThresholdOutcome.UNMEASURED, 0, "unmeasured")}


def test_the_slos_of_an_invalid_step_are_compared_with_its_figures() -> None:
    report = bounded(make.generator_limited(100, figures=MISSED | {"fanout_p99<0.05": 1.0}))
    report = msgspec.structs.replace(report, levels=[*report.levels, "fanout_p99<0.05"])
    results = {slo.expression: slo.result for slo in summary_of(report, 98).slos}
    assert results["deliver_p99<250ms"] is ThresholdOutcome.FAILED
    assert results["loss<0.1%"] is ThresholdOutcome.MET
    assert results["fanout_p99<0.05"] is ThresholdOutcome.UNMEASURED, "its direction is not known"


def test_a_search_in_which_nothing_holds_is_no_failure_of_ci() -> None:
    found = cases(summary_of(make.report([failing(100)] * 3, Ending.NOTHING_HOLDS), 0))
    assert found["verdict"] == ("", "")
    assert found["deliver_p99<250ms"] == ("skipped", "failed at 100 users: 1.84 s")


def test_kinds_are_told_apart() -> None:
    kinds = {name: summary_of(report, code).kind for name, (report, code, _) in RUNS.items()}
    assert kinds["storms"] is Kind.STORM
    assert kinds["a drill"] is Kind.DRILL
    assert set(kinds.values()) == set(Kind)
    not_run = make.report([failing(100)], None, settings={"command_timeout": "600 s"})
    data = summary_of(not_run, 98)
    assert (data.kind, data.drill, data.answer) == (Kind.DRILL, None, None)
    assert data.reasons == ["missed deliver_p99<250ms: 1.84 s"]


def test_the_target_has_processes_machines_and_cost() -> None:
    data = summary_of(searched(), 0)
    assert data.target is not None
    assert (data.target.users, data.target.processes, data.target.cores, data.target.machines) == (1000, 9, 9, 5)
    assert data.target.cost_per_month == 225.0
    assert "| What it costs | 225 a month |" in markdown_summary(data)
    assert "| For 1 000 users | 9 processes, 9 cores, 5 machines |" in markdown_summary(data)


def settings(folder: Path, *flags: str) -> Any:
    return read_settings([*flags, "--report", str(folder)], {})


def test_all_files_are_written_and_a_job_summary_is_added_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    (tmp_path / "step.md").write_text("before\n")
    flags = ("--summary-json", str(tmp_path / "out.json"), "--junit", str(tmp_path / "out.xml"))
    given, data = settings(tmp_path, *flags), summary_of(searched(), 0)
    check_summary_files(given)
    write_summary(given, data, ["the answer"])
    assert (tmp_path / "out.json").read_bytes() == data.to_json()
    assert b"the answer" in (tmp_path / "out.xml").read_bytes()
    assert (tmp_path / "step.md").read_text() == f"before\n{markdown_summary(data)}"


@pytest.mark.parametrize("flag", ["--summary-json", "--junit"])
def test_a_file_that_cannot_be_written_is_refused_with_its_option(tmp_path: Path, flag: str) -> None:
    with pytest.raises(UsageError, match=rf"^{flag} .*none/file: no such directory$"):
        check_summary_files(settings(tmp_path, flag, str(tmp_path / "none/file")))
    with pytest.raises(UsageError, match=r"is a directory$"):
        check_summary_files(settings(tmp_path, flag, str(tmp_path)))


def test_a_file_that_fails_at_the_end_does_not_keep_the_others_from_being_written(tmp_path: Path) -> None:
    flags = ("--summary-json", str(tmp_path / "none/out.json"), "--junit", str(tmp_path / "out.xml"))
    with pytest.raises(RunError, match=r"^--summary-json .*no such file or directory$"):
        write_summary(settings(tmp_path, *flags), summary_of(searched(), 0), [])
    assert (tmp_path / "out.xml").exists()


def fields_of(kind: type[msgspec.Struct], prefix: str = "") -> list[str]:
    """Return the names of a structure's fields, and of the structures in them."""
    known = [one for one in vars(fields).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    found = []
    for field in msgspec.structs.fields(kind):
        parts = (field.type, *getattr(field.type, "__args__", ()))
        inner = [one for one in known if one in parts]
        is_list = "list" in str(getattr(field.type, "__origin__", ""))
        if not inner or not is_list:
            found.append(prefix + field.encode_name)
        for one in inner:
            found += fields_of(one, f"{prefix}{field.encode_name}{'[].' if is_list else '.'}")
    return found


def test_the_document_lists_all_fields_in_their_order() -> None:
    assert [name for name, _, _ in rows("docs/capacity-summary.md", "## Fields")] == fields_of(CapacitySummary)
