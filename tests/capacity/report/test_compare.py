from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from capacity.errors import UsageError
from capacity.report.compare import compare
from capacity.report.noise import Noise
from capacity.search.search import Plan
from tests.capacity import make
from tests.capacity.compared_runs import run, slower

if TYPE_CHECKING:
    from capacity.record.report import RunReport
    from capacity.report.comparison_rows import Row


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
    assert found.verdict == "not worse by more than 10 %; 1 figure worse, but not decisive"


def test_latencies_that_include_lag_of_the_load_generator_are_a_caution() -> None:
    quiet, lagging = (
        run(make.step(400)),
        run(make.step(400, notes=["loop lag p99 80 ms; the latency includes the delay"])),
    )
    caution = "the latencies of a run include delays of the load generator"
    assert caution not in compare([quiet], [quiet], 0.1).flags
    assert caution in compare([quiet], [lagging], 0.1).flags


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
    lab, other = "lab (2 x Imaginary CPU)", "another (2 x Imaginary CPU)"
    assert f"different machines: the difference may be theirs: {lab} and {other}" in flags
    assert "the machine was not quiet in every run" in flags


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
            of_question("shop.py: Buyer=2", locustfile="elsewhere/shop.py", mix="Buyer=2"),
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


def of_cpu(*factors: float) -> list[RunReport]:
    return [run(slower(factor)) for factor in factors]


def cpu_row(before: list[RunReport], after: list[RunReport]) -> Row:
    return row(compare(before, after, 0.1).rows, "server CPU per delivery")


def test_a_change_in_all_pairs_is_larger_than_the_spread() -> None:
    worse = cpu_row(of_cpu(1, 1.05, 0.98), of_cpu(1.2, 1.26, 1.19))
    assert (worse.change, worse.noise) == ("worse", Noise.BEYOND)
    assert worse.interval is not None
    assert 1 < worse.interval[0] < 1.2 < worse.interval[1]
    better = cpu_row(of_cpu(1.2, 1.26, 1.19), of_cpu(1, 1.05, 0.98))
    assert (better.change, better.noise) == ("better", Noise.BEYOND)


def test_pairs_that_differ_from_each_other_are_within_the_spread_but_still_decisive() -> None:
    found = compare(of_cpu(1, 1, 1), of_cpu(1.3, 0.95, 1.2), 0.1)
    noisy = row(found.rows, "server CPU per delivery")
    assert (noisy.change, noisy.noise, noisy.decides) == ("worse", Noise.WITHIN, True)
    assert found.changed("worse") == []
    assert found.worse[0].endswith("34.7 us after; within the spread, measure more pairs")


def test_one_run_of_each_side_cannot_tell() -> None:
    assert cpu_row(of_cpu(1), of_cpu(1.5)).noise is Noise.UNKNOWN
    lost = row(compare([run(make.step(400))], [run(make.failing(400))], 0.1).rows, "verdict")
    assert lost.noise is Noise.UNKNOWN


def test_one_run_of_each_side_whose_windows_overlap_shows_no_difference() -> None:
    before, after = run(slower(1), slower(1.4)), run(slower(1.3), slower(1.5))
    assert cpu_row([before], [after]).noise is Noise.WITHIN
    apart = run(slower(1.41), slower(1.5))
    assert cpu_row([before], [apart]).noise is Noise.UNKNOWN


@pytest.mark.parametrize("pairs", [1, 3])
def test_overlapping_intervals_of_the_capacity_show_no_difference(pairs: int) -> None:
    near = [*[make.step(1300)] * 3, *[make.failing(1450)] * 2]
    one, two = run(*make.converged()), run(*near)
    for before, after in ((one, two), (two, one)):
        found = row(compare([before] * pairs, [after] * pairs, 0.01).rows, "capacity, users")
        assert (found.noise, found.decides) == (Noise.WITHIN, False)


def test_runs_against_different_servers_are_flagged() -> None:
    one, two = run(make.step(400), host="ws://a.example.org"), run(make.step(400), host="ws://b.example.org")
    assert "different servers: ws://a.example.org and ws://b.example.org" in compare([one], [two], 0.1).flags


def test_every_difference_of_the_question_is_named() -> None:
    one = of_question("ChattingUser=1", load="--room-size 20")
    two = of_question("TypingUser=1", "socketio", load="--room-size 10")
    with pytest.raises(UsageError, match=r"different scenario: .*; different dialect: .*; different load: .*"):
        compare([one], [two], 0.1)
