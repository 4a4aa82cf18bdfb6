"""Steps and reports of a load generator of several workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from capacity.record.worker import WorkerRecord
from capacity.report.answer import build_answer
from capacity.search.search import Ending, Plan
from capacity.search.trials import trials_of
from tests.capacity import make
from tests.capacity.pages import render_html

if TYPE_CHECKING:
    from capacity.record.step import StepRecord

LOST = "load generator worker 1 on host-b ended"


def lost(users: int) -> StepRecord:
    """Return a step during which a worker was lost."""
    reason: dict[str, Any] = {"reasons": [LOST], "signals": ["generator worker"], "causes": ["generator"]}
    return make.step(users, "invalid", window_s=None, server_cpu=None, generator_cpu=[], **reason)


def test_a_step_that_lost_a_worker_is_no_trial_unless_its_repetition_lost_one_too() -> None:
    steps = [make.step(100), lost(200), make.step(200), lost(400), lost(400), lost(400)]
    assert [(trial.users, trial.verdict) for trial in trials_of(steps)] == [
        (100, "pass"),
        (200, "pass"),
        (400, "invalid"),
        (400, "invalid"),
    ]


def test_a_level_at_which_workers_are_lost_again_and_again_names_the_worker() -> None:
    steps = [*[make.step(100)] * 3, lost(200), lost(200), lost(200)]
    answer = build_answer(make.question(), steps, Ending.GENERATOR)
    assert (answer.supported_users, answer.first_failing_users, answer.generator_limited_at) == (100, None, 200)
    limit = "At 200 the load generator was the limit, not the server (server CPU at 100 users: 7 % of one core)"
    assert f"{limit}; {LOST}." in answer.sentence


def test_the_remedy_of_a_run_on_other_machines_is_more_workers() -> None:
    question = make.question(has_remote_workers=True)
    answer = build_answer(question, make.generator_first(), Ending.GENERATOR)
    assert answer.confirm_with == "python -m capacity --expect-workers 2"
    assert answer.confirm_needs == "with 2 workers of the load generator"
    assert "use more generator workers (--expect-workers)" in answer.sentence
    passed = build_answer(make.question(plan=Plan(largest=100)), [make.step(100)] * 3, Ending.NOT_REACHED)
    assert "--expect-workers" not in (passed.confirm_with or "")


@pytest.mark.parametrize(
    ("workers", "is_shown"),
    [
        ([], False),
        ([WorkerRecord(name="load generator", host="lab", state="connected")], False),
        ([WorkerRecord(name="load generator", host="lab", state="connected", invalid_steps=1)], True),
        ([WorkerRecord(name=f"worker {n}", host="host-b", state="connected") for n in range(2)], True),
    ],
)
def test_the_page_shows_workers_if_there_are_several_or_one_gave_out(
    workers: list[WorkerRecord], is_shown: bool
) -> None:
    page = render_html(make.report([make.step(100)], workers=workers))
    assert ('id="workers"' in page) is is_shown
    assert ("host-b" in page) is (len(workers) > 1)
