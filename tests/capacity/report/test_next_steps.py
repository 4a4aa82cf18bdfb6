"""What to do next: advice for every reason why a run can end."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace

import pytest

from capacity.config.options import flag
from capacity.config.settings import OPTIONS
from capacity.judge import causes
from capacity.report.next_steps import NEXT_STEPS, Situation, next_steps
from capacity.report.stop import Kind
from tests.tables import rows


def test_every_cause_of_the_documents_and_every_kind_has_advice() -> None:
    documented = {cause for cause, _ in rows("capacity/README.md", "## The bottleneck")}
    assert documented == set(NEXT_STEPS) - set(Kind)
    assert set(Kind) == set(NEXT_STEPS) - documented


def test_every_cause_that_the_judge_can_name_is_documented() -> None:
    named = re.findall(r"CauseFound\((\w+),", inspect.getsource(causes))
    assert len(named) >= len(set(named)) >= 9
    assert {getattr(causes, name) for name in named} == set(NEXT_STEPS) - set(Kind)


@pytest.mark.parametrize("kind", NEXT_STEPS)
@pytest.mark.parametrize(
    "now",
    [
        Situation(),
        Situation(is_bundled=False, is_profiled=True, has_core=False, is_jittered=True),
        Situation(has_remote_workers=True, hot_spot="41 % of it in f", options="--processes 2", needs="on 2 cores"),
    ],
)
def test_advice_is_a_sentence_and_names_existing_options(kind: str, now: Situation) -> None:
    found = next_steps(kind, now)
    assert found or kind in {Kind.IN_PROGRESS, Kind.GENERATOR}
    for text in found:
        assert text[0].isupper()
        assert text.endswith(".")
        assert "{" not in text
        assert set(re.findall(r"--[a-z][a-z-]*", text)) <= {flag(name) for name in OPTIONS}


def test_a_full_server_core_needs_processes_or_a_profile() -> None:
    assert next_steps(causes.SERVER_CPU, Situation()) == [
        "Run more server processes: --workers-list 1,2,4 measures what they add.",
        "Find the functions that use the CPU: repeat the run with --profile.",
    ]
    profiled = Situation(is_bundled=False, is_profiled=True, hot_spot="41 % of it in json.dumps (app.py:88)")
    assert next_steps(causes.SERVER_CPU, profiled) == [
        "Make the code cheaper that the profile names: 41 % of it in json.dumps (app.py:88).",
        "Give the server more processes or cores, and measure again.",
    ]


def test_a_limited_generator_needs_a_core_or_another_machine() -> None:
    here = Situation(options="--processes 3", needs="on 3 cores for the load generator")
    assert next_steps(Kind.GENERATOR, here) == ["Give the load generator another core: add --processes 3."]
    assert next_steps(Kind.GENERATOR, replace(here, has_core=False)) == [
        "Add machines for the load generator: --expect-workers N. No core of this machine is left for it."
    ]
    assert next_steps(Kind.GENERATOR, replace(here, has_remote_workers=True)) == [
        "Add workers of the load generator: --expect-workers."
    ]


def test_an_unobserved_server_needs_observation() -> None:
    (text,) = next_steps(Kind.NOT_OBSERVABLE, Situation(is_bundled=False))
    assert "--server-pid" in text


def test_a_search_that_ran_out_of_time_names_the_options_that_continue_it() -> None:
    now = Situation(options="--max-duration 300", needs="with more time")
    assert next_steps(Kind.TIME_LIMIT, now) == ["Measure further, with more time: add --max-duration 300."]
    assert next_steps(Kind.TIME_LIMIT, Situation()) == ["Raise --max-duration."]
