from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from capacity.config.scenario import Scenario
from capacity.formatting import about, count
from capacity.report.answer import UserLoad, build_answer
from capacity.report.next_steps import Situation
from capacity.search.search import Ending, Plan
from tests.capacity import make
from tests.capacity.pages import render_html

if TYPE_CHECKING:
    from capacity.record.step import StepRecord


def test_an_answer_names_users_slos_limit_and_evidence() -> None:
    answer = build_answer(make.question(), make.converged(), Ending.CONVERGED)
    assert (answer.supported_users, answer.first_failing_users, answer.confirmed) == (1400, 1500, True)
    assert answer.limited_by == "server CPU"
    assert answer.projected_users is None
    assert answer.headline == "1 400"
    assert answer.sentence == (
        "One server process holds 1 400 chatting users (rooms of 20, one message a second each) within "
        "deliver_p99<250ms, loss<0.1% and errors<1%. Fails at 1 500. Bottleneck: server CPU "
        "(the server used 99 % of one core)."
    )


def test_a_missed_slo_is_evidence_and_never_the_bottleneck() -> None:
    steps = [make.step(100, server_cpu=None), make.failing(200, server_cpu=None)]
    answer = build_answer(make.question(), steps, Ending.BUDGET)
    assert answer.sentence.endswith(
        "Fails at 200. Bottleneck: not observable: give --server-pid or --metrics, or a [metrics] table in the "
        "dialect's file. Evidence: missed deliver_p99<250ms: 1.84 s."
    )
    assert (answer.limited_by, answer.bottleneck_observable) == ("delivery latency", False)
    assert (answer.bottleneck or "").startswith("not observable: ")


def test_the_bottleneck_of_a_single_level_and_of_the_lowest_one_is_named() -> None:
    failed = make.failing(100)
    for plan in (Plan(given=(100,)), Plan()):
        answer = build_answer(make.question(plan=plan), [failed], Ending.STEPS_DONE)
        assert answer.sentence.endswith(
            "missed deliver_p99<250ms: 1.84 s. Bottleneck: server CPU (the server used 99 % of one core)."
        )
        assert answer.bottleneck == "server CPU (the server used 99 % of one core)"
        assert answer.bottleneck_observable


def test_without_a_failed_level_there_is_no_bottleneck_but_it_may_be_observable() -> None:
    for cpu, observable in ((0.2, True), (None, False)):
        answer = build_answer(make.question(), [make.step(100, server_cpu=cpu)], Ending.NOT_REACHED)
        assert (answer.bottleneck, answer.bottleneck_observable) == (None, observable)
    assert not build_answer(make.question(), [], None).bottleneck_observable


def test_the_cpu_of_a_server_with_several_cores_is_that_of_all() -> None:
    cores: dict[str, Any] = {"server_cores_allowed": 4.0, "server_busiest_thread": 0.2}
    steps = [make.step(users, server_cpu=users / 100, **cores) for users in (100, 200, 300)]
    answer = build_answer(make.question(plan=Plan(largest=300)), steps, Ending.NOT_REACHED)
    assert "(server CPU at 300 users: 3 of 4 cores)" in answer.sentence
    assert "Projected, not measured: its cores are full at about 400 users" in answer.sentence


def test_a_limited_generator_gives_at_least_n_and_a_labelled_projection() -> None:
    answer = build_answer(make.question(), make.generator_first(), Ending.GENERATOR)
    assert (answer.supported_users, answer.first_failing_users) == (1900, None)
    assert answer.generator_limited_at == 2000
    assert answer.limited_by == "load generator"
    assert answer.projected_users == pytest.approx(5880, rel=0.01)
    assert answer.headline == "≥ 1 900"
    assert "at least 1 900 chatting users" in answer.sentence
    assert "At 2 000 the load generator was the limit, not the server" in answer.sentence
    assert "Projected, not measured" in answer.sentence
    assert answer.confirm_with == "python -m capacity --processes 2"


def test_a_machine_without_another_core_is_not_asked_for_one() -> None:
    question = make.question(situation=Situation(has_core=False))
    answer = build_answer(question, make.generator_first(), Ending.GENERATOR)
    assert "; add machines for the load generator (--expect-workers)." in answer.sentence
    assert answer.confirm_needs == "on a machine with 2 cores for the load generator"


def test_without_a_projection_a_limited_generator_gets_one_core_more() -> None:
    steps = [make.step(100), *make.generator_first()[-2:]]
    answer = build_answer(make.question(), steps, Ending.GENERATOR)
    assert answer.projected_users is None
    assert answer.confirm_with == "python -m capacity --processes 2"


def test_a_passing_cap_gives_at_least_n() -> None:
    steps = [make.step(100), make.step(200), *[make.step(300)] * 3]
    answer = build_answer(make.question(plan=Plan(largest=300)), steps, Ending.NOT_REACHED)
    assert answer.limited_by is None
    assert "at least 300" in answer.sentence
    assert "up to the cap (--users-max) passed" in answer.sentence


def test_disturbances_of_the_machine_are_reported() -> None:
    disturbed = [*make.converged()[:-1], make.step(1400, server_core_foreign=0.31)]
    answer = build_answer(make.question(), disturbed, Ending.CONVERGED)
    assert answer.disturbance is not None
    assert answer.sentence.endswith("The machine was not quiet: other processes used up to 31 % of the server's core.")
    assert build_answer(make.question(), make.converged(), Ending.CONVERGED).disturbance is None


def test_an_unconfirmed_level_is_labelled() -> None:
    answer = build_answer(make.question(), [make.step(100), make.step(200), make.failing(400)], Ending.BUDGET)
    assert not answer.confirmed
    assert "not confirmed" in answer.sentence
    assert "not confirmed" in answer.headline_label


def test_one_of_two_confirmations_is_not_called_unconfirmed() -> None:
    steps = [make.step(100), make.step(200), make.failing(400), make.step(200, purpose="confirm")]
    answer = build_answer(make.question(), steps, Ending.BUDGET)
    assert not answer.confirmed
    assert "(measured, confirmed 1 of 2 times)" in answer.sentence
    assert answer.headline_label == "chatting users, measured, confirmed 1 of 2 times"
    report = make.report(steps, Ending.BUDGET)
    assert "not confirmed" not in render_html(report)


LIGHT = [make.step(users, server_cpu=0.02 + users / 6000, generator_cpu=[0.32]) for users in (100, 200, 400)]


@pytest.mark.parametrize(
    ("ending", "plan", "options", "needs"),
    [
        (
            Ending.BUDGET,
            Plan(),
            "--max-duration 300 --processes 7",
            "with more time and on 7 cores for the load generator",
        ),
        (Ending.NOT_REACHED, Plan(largest=400), "--users-max 7056 --processes 7", "with a higher cap and on 7"),
        (
            Ending.STEPS_DONE,
            Plan(given=(100, 200, 400)),
            "--steps 4704,5880,7056 --processes 7",
            "at these levels and on 7",
        ),
    ],
)
def test_each_ending_names_the_option_that_helps(ending: Ending, plan: Plan, options: str, needs: str) -> None:
    answer = build_answer(make.question(plan=plan), LIGHT, ending)
    assert answer.confirm_with == f"python -m capacity {options}"
    assert (answer.confirm_needs or "").startswith(needs)


def test_more_time_is_the_only_remedy_if_the_generator_has_room() -> None:
    steps = [
        make.step(users, server_cpu=0.02 + users / 6000, generator_cpu=[users / 20_000]) for users in (400, 800, 1600)
    ]
    answer = build_answer(make.question(max_duration=100.0), steps, Ending.BUDGET)
    assert answer.confirm_with == "python -m capacity --max-duration 200"
    assert answer.confirm_needs == "with more time"
    assert "the time limit passed (--max-duration)" in answer.sentence
    no_line = build_answer(make.question(), [make.step(100), make.failing(200)], Ending.BUDGET)
    assert no_line.confirm_with == "python -m capacity --max-duration 300"


def test_storms_have_no_higher_cap_but_a_remedy_for_too_little_time() -> None:
    storms = make.question(plan=Plan(given=(100,)))
    assert build_answer(storms, [make.step(100)], Ending.NOT_REACHED).confirm_with is None
    assert build_answer(storms, [make.step(100)], Ending.BUDGET).confirm_with == "python -m capacity --max-duration 300"


def test_a_converged_or_interrupted_search_has_no_remedy() -> None:
    assert build_answer(make.question(), make.converged(), Ending.CONVERGED).confirm_with is None
    assert build_answer(make.question(), LIGHT, None).confirm_with is None


def test_an_interrupted_run_is_labelled_and_keeps_its_measurements() -> None:
    answer = build_answer(make.question(), [make.step(100), make.step(200)], None)
    assert answer.supported_users == 200
    assert answer.ending == "cut short"
    assert answer.sentence.startswith("Interrupted; so far: One server process holds at least 200")


def test_a_server_that_holds_no_level_has_no_supported_users() -> None:
    answer = build_answer(make.question(), [make.failing(1)] * 2, Ending.NOTHING_HOLDS)
    assert answer.supported_users is None
    assert answer.headline == "< 1"
    assert "does not hold 1 chatting user (" in answer.sentence


def test_a_run_without_measurements_gives_the_reason() -> None:
    steps = [make.step(100, "invalid", reasons=["worker 0 reports no loop lag"], signals=["series"])] * 2
    answer = build_answer(make.question(), steps, Ending.UNMEASURABLE)
    assert answer.supported_users is None
    assert answer.generator_limited_at is None
    assert "No valid measurement, not even of" in answer.sentence
    assert "no loop lag" in answer.sentence


def test_a_run_without_steps_has_an_answer() -> None:
    answer = build_answer(make.question(), [], None)
    assert answer.sentence == "Nothing was measured."
    assert answer.headline == "?"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([make.step(500)], "holds 500 chatting users"),
        ([make.failing(500)], "does not hold 500 chatting users"),
        ([make.generator_limited(500)] * 2, "No valid measurement of 500 chatting users"),
    ],
)
def test_one_bounded_level_is_answered_yes_no_or_not_measured(steps: list[StepRecord], words: str) -> None:
    answer = build_answer(make.question(plan=Plan(given=(500,))), steps, Ending.STEPS_DONE)
    assert words in answer.sentence


CHATTING = Scenario(None, {"ChattingUser": 1})
TYPING = Scenario(None, {"TypingUser": 1})


@pytest.mark.parametrize(
    ("load", "noun", "details"),
    [
        (
            UserLoad(Scenario(None, {"ChattingUser": 1}), 20, None, 1.0),
            "chatting users",
            "rooms of 20, one message a second each",
        ),
        (
            UserLoad(TYPING, 10, None, 0.2),
            "typing users",
            "rooms of 10, one message each 5 s",
        ),
        (
            UserLoad(Scenario(None, {"OwnUser": 1}), None, 4, 2.5),
            "OwnUser users",
            "4 rooms that grow with them, 2.5 messages a second each",
        ),
        (
            UserLoad(Scenario(None, {"ChattingUser": 10, "TypingUser": 5}), 20, None, 1.0),
            "users",
            "10 ChattingUser : 5 TypingUser, rooms of 20, one message a second each",
        ),
    ],
)
def test_the_answer_describes_the_users(load: UserLoad, noun: str, details: str) -> None:
    assert (load.scenario.noun, load.details()) == (noun, details)


def test_numbers_are_grouped_and_estimates_rounded() -> None:
    assert count(1234567) == "1 234 567"
    assert about(5951) == "5 950"
    assert about(97) == "97"


def test_a_level_where_others_used_the_core_is_reported_and_not_the_server_s_limit() -> None:
    why = "other processes used 55 % of the server's core, which was full; the server got 45 %"
    taken = make.step(
        800,
        "invalid",
        reasons=[why],
        signals=["others on the server's core"],
        causes=["others"],
        server_core_foreign=0.55,
    )
    steps = [make.step(200), make.step(400), taken, taken, make.step(400), make.step(400)]
    answer = build_answer(make.question(), steps, Ending.GENERATOR)
    assert (answer.supported_users, answer.first_failing_users, answer.generator_limited_at) == (400, None, None)
    assert f"No valid measurement at 800: {why}; repeat the run on a quiet machine." in answer.sentence
    assert "load generator" not in answer.sentence


def test_a_mixed_level_is_reported_beside_the_interval() -> None:
    wavering = [make.step(900), make.failing(900), make.step(900)]
    steps = [
        make.step(800),
        make.failing(1000),
        *wavering,
        make.step(800),
        make.step(800),
        make.failing(1000),
    ]
    answer = build_answer(make.question(), steps, Ending.CONVERGED)
    assert (answer.supported_users, answer.first_failing_users) == (800, 1000)
    assert "Mixed results at 900." in answer.sentence


def test_a_single_fail_inside_the_interval_is_reported_and_bounds_nothing() -> None:
    steps = [make.step(400), *[make.step(800)] * 3, make.failing(1600), make.failing(1000)]
    answer = build_answer(make.question(), steps, Ending.BUDGET)
    assert (answer.supported_users, answer.first_failing_users) == (800, 1600)
    assert "Failed once at 1 000." in answer.sentence


def test_a_mixed_level_is_reported_if_no_level_failed() -> None:
    steps = [*[make.step(800)] * 3, make.step(1600), make.failing(1600)]
    answer = build_answer(make.question(), steps, Ending.BUDGET)
    assert (answer.supported_users, answer.first_failing_users) == (800, None)
    assert "Mixed results at 1 600." in answer.sentence


def test_the_answer_is_the_confirmed_level_even_if_a_higher_one_passed_once() -> None:
    steps = [*[make.step(800)] * 3, make.step(1000), make.failing(1200), make.failing(1200)]
    answer = build_answer(make.question(), steps, Ending.BUDGET)
    assert (answer.supported_users, answer.first_failing_users, answer.confirmed) == (800, 1200, True)


def test_users_of_an_own_locustfile_are_named_by_the_file() -> None:
    load = UserLoad(Scenario("tests/shop.py", {"Buyer": 2, "Seller": 1}), 20, None, 1.0)
    assert (load.scenario.noun, load.details()) == ("users of shop.py: Buyer=2,Seller=1", "rooms of 20")
    assert Scenario("shop.py", {}).noun == "users of shop.py"
