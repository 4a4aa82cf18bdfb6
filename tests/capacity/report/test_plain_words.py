"""The answer in plain words: how sure it is, why it ends there, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from capacity.record.step import Verdict
from capacity.report.answer import build_answer
from capacity.report.next_steps import Situation
from capacity.report.stop import Kind
from capacity.report.storm_words import add_storm_words
from capacity.search.search import Ending, Plan
from capacity.storms.result import storm_answer
from tests.capacity import make
from tests.capacity.storms.test_storms import record

if TYPE_CHECKING:
    from capacity.record.answer import Answer
    from capacity.record.step import StepRecord

UNOBSERVED: dict[str, Any] = {"server_cpu": None, "server_rss_bytes": None}
IDLE: dict[str, Any] = {"server_cpu": 0.1, "server_fds": None}
OTHERS: dict[str, Any] = {
    "reasons": ["other processes used 51 % of the core"],
    "signals": ["others"],
    "causes": ["others"],
}
LOST: dict[str, Any] = {"reasons": ["worker 1 ended"], "signals": ["generator worker"], "causes": ["generator"]}
FAULT: dict[str, Any] = {"reasons": ["open files"], "signals": ["generator fault"], "causes": ["generator"]}


def answer(steps: list[StepRecord], ending: Ending | None = Ending.CONVERGED, **asked: Any) -> Answer:
    return build_answer(make.question(**asked), steps, ending)


def test_a_found_limit_is_an_interval_with_the_number_of_measurements_at_both_ends() -> None:
    found = answer(make.converged())
    assert found.certainty == "Between 1 400 and 1 500 users: 1 400 passed 3 times, 1 500 failed twice."
    assert found.stop == "At 1 500 users: server CPU (the server used 99 % of one core)."
    assert found.stop_kind == "server CPU"
    assert found.next_steps[0].startswith("Run more server processes")
    assert found.promise[0] == "99 of 100 messages arrive within a quarter of a second"


def test_an_unconfirmed_end_is_said() -> None:
    found = answer([make.step(100), make.failing(200)], Ending.BUDGET)
    assert found.certainty == "Between 100 and 200 users: 100 passed once (not confirmed), 200 failed once."


def test_a_limited_generator_leaves_at_least_and_a_labelled_projection() -> None:
    found = answer(make.generator_first(), Ending.GENERATOR)
    assert found.certainty.startswith("At least 1 900 users: 1 900 passed 3 times, and none above that has failed. ")
    assert "Projected, not measured: about 5 880 users" in found.certainty
    assert found.stop == (
        "The load generator was the limit, not the server: the load generator used 0.99 of its core, limit 0.92."
    )
    assert found.stop_kind == Kind.GENERATOR
    assert found.next_steps == ["Give the load generator another core: add --processes 2."]


def test_a_projection_below_the_measured_users_is_not_shown() -> None:
    steps = [make.step(users, server_cpu=users / 100) for users in (60, 80, 100)]
    found = answer([*steps, make.step(104, server_cpu=1.0), make.step(104, server_cpu=1.0)], Ending.BUDGET)
    assert found.projected_users is None
    assert (
        found.projection_missing == "a line through the server's CPU reaches a full core below 104 users, which passed"
    )
    assert "Projected" not in found.certainty + found.sentence


def test_nothing_that_passes_is_fewer_than() -> None:
    found = answer([make.failing(100)] * 3, Ending.NOTHING_HOLDS)
    assert found.certainty == "Fewer than 100 users: 100 failed 3 times."


def test_no_valid_measurement_is_not_sure_at_all() -> None:
    found = answer([make.generator_limited(100)] * 2, Ending.GENERATOR)
    assert found.certainty == "Not at all: there is no valid measurement."
    assert answer([], None).stop_kind == Kind.UNMEASURED


@pytest.mark.parametrize("step", [make.step(100), make.failing(100)])
def test_a_single_level_is_one_measurement(step: StepRecord) -> None:
    found = answer([step], Ending.STEPS_DONE, plan=Plan(given=(100,)))
    assert found.certainty == "Measured once, at this level only."


@pytest.mark.parametrize(
    ("steps", "ending", "kind"),
    [
        ([make.step(100), *[make.failing(200, **UNOBSERVED)] * 2], Ending.CONVERGED, Kind.NOT_OBSERVABLE),
        ([make.step(100), *[make.failing(200, **IDLE)] * 2], Ending.CONVERGED, Kind.NONE_OBSERVED),
        ([make.step(100), *[make.step(200, "invalid", **OTHERS)] * 2], Ending.GENERATOR, Kind.OTHERS),
        ([make.step(100), *[make.step(200, "invalid", **LOST)] * 3], Ending.GENERATOR, Kind.LOST_WORKER),
        ([make.step(100), *[make.step(200, "invalid", **FAULT)] * 2], Ending.GENERATOR, Kind.GENERATOR_FAULT),
        ([make.step(100), *[make.step(200, "invalid")] * 2], Ending.UNMEASURABLE, Kind.MISSING),
        ([make.step(100)] * 3, Ending.NOT_REACHED, Kind.CAP),
        ([make.step(100)] * 3, Ending.BUDGET, Kind.TIME_LIMIT),
        ([make.step(100), make.step(200)], Ending.STEPS_DONE, Kind.GIVEN),
        ([make.step(100), make.step(200), make.failing(200)], Ending.CONVERGED, Kind.MIXED),
        ([make.step(100)], None, Kind.INTERRUPTED),
    ],
)
def test_each_way_to_end_is_told_apart(steps: list[StepRecord], ending: Ending | None, kind: Kind) -> None:
    found = answer(steps, ending)
    assert found.stop_kind == kind
    assert found.stop.endswith(".")
    assert found.next_steps


def test_an_unobserved_server_shows_the_missed_slo_as_evidence_only() -> None:
    found = answer([make.step(100), *[make.failing(200, **UNOBSERVED)] * 2])
    assert found.stop == (
        "At 200 users: not known, since the server's CPU and memory were not observed. "
        "Evidence: missed deliver_p99<250ms: 1.84 s."
    )
    behind = answer([make.step(100), *[make.failing(200)] * 2], proxy="nginx")
    assert behind.stop_kind == "server CPU"
    quiet = answer([make.step(100), *[make.failing(200, **IDLE)] * 2], proxy="nginx")
    assert "the figures are those of nginx, a proxy" in quiet.stop


def storms(*records: Any, ending: Ending | None = Ending.CONVERGED) -> Answer:
    told = storm_answer(records, users=100, slos=["resync_p95<5s"], backoff="none", ending=ending)
    return add_storm_words(answer([make.step(100)], Ending.STEPS_DONE), told, Situation())


def test_storms_have_their_own_words() -> None:
    found = storms(record(10), *[record(20)] * 3, *[record(40, Verdict.FAIL)] * 2)
    assert found.promise == ["95 of 100 dropped users are back within 5 seconds"]
    assert found.certainty == "Between 20 and 40 %: 20 % passed 3 times, 40 % failed twice."
    assert found.stop.startswith("At 40 %: ")
    assert found.next_steps[0].startswith("Let clients wait a random time")


def test_storms_of_all_users_and_of_none_have_words() -> None:
    every = storms(*[record(100)] * 3)
    assert every.certainty == "All 100 users: 100 % passed 3 times."
    assert every.stop_kind == Kind.ALL_RECONNECTED
    assert storms(record(10)).certainty == "At least 10 %: 10 % passed once (not confirmed)."
    assert storms(record(10), ending=Ending.BUDGET).stop_kind == Kind.TIME_LIMIT
    assert storms(record(10, Verdict.FAIL)).certainty == "Less than 10 %: it failed once."
    invalid = msgspec.structs.replace(record(10), verdict=Verdict.INVALID, reasons=["no data"], causes=["missing"])
    assert storms(invalid).certainty == "Not at all: no valid storm."
    assert add_storm_words(every, None, Situation()) is every
