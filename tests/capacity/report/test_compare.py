from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from capacity.cli.main import main
from capacity.errors import UsageError
from capacity.report.compare import Row, compare
from capacity.search.search import Plan
from tests.capacity import make

if TYPE_CHECKING:
    from pathlib import Path

    from capacity.record.report import RunReport
    from capacity.record.step import StepRecord


def run(*steps: StepRecord, revision: str = "aaa", **settings: Any) -> RunReport:
    made = make.report(list(steps))
    environment = msgspec.structs.replace(made.environment, revision=revision)
    return msgspec.structs.replace(made, environment=environment, settings=made.settings | settings)


def slower(factor: float, **figures: Any) -> StepRecord:
    """Return a step at 400 users with more server CPU for the same deliveries."""
    return make.step(400, server_cpu=0.22 * factor, **figures)


def row(rows: tuple[Row, ...], name: str) -> Row:
    return next(one for one in rows if one.name.endswith(name))


def test_a_run_is_not_worse_than_itself() -> None:
    one = run(*make.converged())
    found = compare([one], [one], 0.1)
    assert found.worse == ()
    assert [line.change for line in found.rows] == [""] * len(found.rows)
    assert found.flags[1:] == ("all runs are of revision aaa",)
    assert found.flags[0].startswith("one pair of runs")


def test_more_cpu_per_delivery_than_the_tolerance_is_decisive() -> None:
    before, after = run(slower(1.0)), run(slower(1.2), revision="bbb")
    found = compare([before], [after], 0.1)
    assert row(found.rows, "server CPU per delivery").ratio == pytest.approx(1.2)
    assert found.worse == ("400 users: server CPU per delivery: 28.9 us before, 34.7 us after",)
    assert compare([before], [after], 0.25).worse == ()


def test_the_median_of_pairs_ignores_one_disturbed_pair() -> None:
    before = [run(slower(1.0)), run(slower(1.4)), run(slower(1.0))]
    after = [run(slower(1.02)), run(slower(1.4)), run(slower(1.9))]
    found = compare(before, after, 0.1)
    assert row(found.rows, "server CPU per delivery").ratio == pytest.approx(1.02)
    assert found.worse == ()


def test_small_latency_differences_are_ignored_and_large_ones_are_not_decisive() -> None:
    before = run(slower(1.0, deliver_p50_ms=1.0, deliver_p99_ms=10.0))
    after = run(slower(1.0, deliver_p50_ms=2.9, deliver_p99_ms=80.0))
    found = compare([before], [after], 0.1)
    assert row(found.rows, "p50").change == ""  # 1.9 ms is less than 2 ms
    assert row(found.rows, "p99").change == "worse"
    assert found.worse == ()


def test_a_level_that_passed_and_now_fails_is_decisive() -> None:
    found = compare([run(make.step(400))], [run(make.failing(400), revision="bbb")], 0.1)
    assert any("verdict: pass before, fail after" in text for text in found.worse)
    better = compare([run(make.failing(400))], [run(make.step(400))], 0.1)
    assert row(better.rows, "verdict").change == "better"


def test_capacity_is_decisive_if_the_intervals_do_not_overlap() -> None:
    lower = [
        make.step(200),
        make.step(800),
        make.step(800),
        make.step(800),
        make.failing(900),
        make.failing(900),
    ]
    found = compare([run(*make.converged())], [run(*lower, revision="bbb")], 0.1)
    assert found.worse[0] == "capacity, users: 1 400 to 1 500 before, 800 to 900 after"
    near = [
        make.step(1300),
        make.step(1300),
        make.step(1300),
        make.failing(1450),
        make.failing(1450),
    ]
    assert compare([run(*make.converged())], [run(*near)], 0.01).worse == ()


@pytest.mark.parametrize(
    ("other", "error"),
    [
        (run(make.step(400), window=30.0), "different window: None and 30.0"),
        (msgspec.structs.replace(run(make.step(400)), levels=["loss<1%"]), "different SLOs"),
        (run(make.step(200)), "no common level and no common answer"),
    ],
)
def test_runs_with_other_settings_are_not_compared(other: RunReport, error: str) -> None:
    one = msgspec.structs.replace(run(make.step(400)), answer=make.report([make.failing(400)]).answer)
    with pytest.raises(UsageError, match=error):
        compare([one], [other], 0.1)


def test_sides_of_different_length_are_not_pairs() -> None:
    with pytest.raises(UsageError, match="1 runs before and 2 after are not pairs"):
        compare([run(make.step(400))], [run(make.step(400))] * 2, 0.1)


def test_other_machines_and_noise_are_flagged() -> None:
    one = run(make.step(400))
    there = msgspec.structs.replace(one, environment=msgspec.structs.replace(one.environment, host="another"))
    noisy = run(make.step(400, server_core_foreign=0.4))
    flags = compare([one, one], [there, noisy], 0.1).flags
    assert "different machines: the difference may be theirs" in flags
    assert "the machine was not quiet in every run" in flags


@pytest.mark.parametrize(
    ("revisions", "pairs", "judged"),
    [
        (("aaa", "aaa"), 1, False),
        (("aaa", "bbb"), 1, True),
        (("aaa-dirty", "aaa-dirty"), 1, True),  # their files may differ
        (("aaa", "aaa"), 2, True),
    ],
)
def test_one_pair_of_runs_of_the_same_revision_is_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], revisions: tuple[str, str], pairs: int, *, judged: bool
) -> None:
    one, two = revisions
    a, b = folders(tmp_path, a=run(slower(1.0), revision=one), b=run(slower(1.5), revision=two))
    code = main(["compare", ",".join([a] * pairs), ",".join([b] * pairs)])
    said = capsys.readouterr().out
    assert code == (99 if judged else 98)
    assert ("not judged: both runs are of revision aaa" in said) != judged
    assert ("one pair of runs: noise alone can exceed the tolerance" in " ".join(said.split())) == (pairs == 1)
    same = main(["compare", a, a])  # not worse, so not judged
    assert same == 0


def test_80_columns_show_every_figure_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    many = [
        run(*make.converged(), revision="aaa"),
        run(*make.converged(), make.failing(400), revision="aaa"),
    ]
    lower = [
        make.step(200),
        *[make.step(12_800, server_cpu=0.9)] * 3,
        make.failing(400, server_cpu=0.5),
        *[make.failing(13_900)] * 2,
    ]
    after = [run(*lower, revision="bbb"), run(*lower, revision="bbb")]
    reports = dict(zip("abcd", [*many, *after], strict=True))
    a, b, c, d = folders(tmp_path, **reports)
    assert main(["compare", f"{a},{b}", f"{c},{d}"]) == 99
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "…" not in said
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "400 users" in lines
    assert any(line.startswith("server CPU per delivery 58.1 us 73.5 us 1.69 worse *") for line in lines)
    assert any(line.startswith("p99 466 ms 1.84 s") for line in lines)


def folders(tmp_path: Path, **reports: RunReport) -> list[str]:
    for name, report in reports.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_bytes(msgspec.json.encode(report))
    return [str(tmp_path / name) for name in reports]


def test_the_command_prints_both_sides_and_ends_with_99_when_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = folders(tmp_path, a=run(slower(1.0)), b=run(slower(1.5), revision="bbb"))
    assert main(["compare", a, b]) == 99
    said = capsys.readouterr().out
    assert "400 users: server CPU per delivery" in said
    assert "worse by more than 10 %" in said
    assert main(["compare", f"{a},{a}", f"{b},{a}", "--tolerance", "60%"]) == 0


def test_a_folder_without_a_report_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_bounded_runs_have_no_capacity_to_compare() -> None:
    bounded = make.question(plan=Plan(given=(400,)))
    assert bounded.plan.given == (400,)
    found = compare([run(make.step(400), bounded=True)], [run(make.step(400), bounded=True)], 0.1)
    assert not any(line.name.startswith("capacity") for line in found.rows)


def of_question(scenario: str, dialect: str = "stampede", **settings: Any) -> RunReport:
    """Return a run with a scenario and a dialect; `settings` has their options as a report keeps them."""
    made = run(make.step(400), **settings)
    answer = msgspec.structs.replace(made.answer, scenario=scenario, dialect=dialect)
    return msgspec.structs.replace(made, answer=answer, dialect=dialect)


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        (
            of_question("ChattingUser=1"),
            of_question("shop.py: Buyer=2", locustfile="/home/ann/shop.py", mix="Buyer=2"),
            "different scenario: ChattingUser=1 and shop.py: Buyer=2; compare runs of the same question",
        ),
        (
            of_question("ChattingUser=1", load="--room-size 20"),
            of_question("ChattingUser=1", "socketio", load="--room-size 20 --dialect socketio"),
            "different dialect: stampede and socketio",
        ),
        (
            of_question("ChattingUser=1", load="--room-size 20 --message-rate 1"),
            of_question("ChattingUser=1", load="--room-size 10 --message-rate 1"),
            "different load: --room-size 20 --message-rate 1 and --room-size 10 --message-rate 1",
        ),
    ],
)
def test_runs_of_different_questions_are_refused_by_name(before: RunReport, after: RunReport, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        compare([before], [after], 0.1)


def test_the_layout_of_generator_and_addresses_may_differ_but_not_the_number_of_instances() -> None:
    name = "ChattingUser=1"
    two = of_question(name, load="--room-size 20 --connect-to 10.0.0.1:80,10.0.0.2:80", expect_workers=4)
    others = of_question(name, load="--room-size 20 --connect-to 10.1.0.1:80,10.1.0.2:80", expect_workers=8)
    assert compare([two], [others], 0.1).worse == ()
    one = of_question(name, load="--room-size 20")
    with pytest.raises(UsageError, match=r"different number of addresses \(--connect-to\): 2 and None"):
        compare([two], [one], 0.1)


def test_two_versions_of_a_locustfile_are_compared_and_flagged() -> None:
    name, dialect = "shop.py: Buyer=2", "socketio"
    load = "--room-size 20 --dialect"
    before = of_question(name, dialect, locustfile="a/shop.py", locustfile_hash="3fa4", load=f"{load} /a/io.toml")
    after = of_question(name, dialect, locustfile="b/shop.py", locustfile_hash="99aa", load=f"{load} socketio")
    assert "the content of the locustfile differs: SHA-256 3fa4 and 99aa" in compare([before], [after], 0.1).flags
    assert not any("locustfile" in flag for flag in compare([before], [before], 0.1).flags)


def test_a_report_of_an_earlier_version_has_its_scenario_in_the_settings() -> None:
    earlier = of_question("", mix="ChattingUser=1")
    assert earlier.scenario == "ChattingUser=1"
    assert compare([earlier], [of_question("ChattingUser=1")], 0.1).worse == ()
    with pytest.raises(UsageError, match="different scenario: ChattingUser=1 and TypingUser=1"):
        compare([earlier], [of_question("TypingUser=1")], 0.1)
