"""The answer names the function that the CPU time goes to, if CPU is the bottleneck."""

from __future__ import annotations

import pytest

from capacity.record.profile import HotFunction
from capacity.report.answer import build_answer
from capacity.search.search import Ending, Plan
from tests.capacity import make

DUMPS = HotFunction(function="json.dumps", file="handlers.py", line=88, share=0.412)
NAMED = "Bottleneck: server CPU; 41 % of it in json.dumps (handlers.py:88)."


def test_the_function_follows_the_bottleneck() -> None:
    answer = build_answer(make.question(), make.converged(), Ending.CONVERGED, DUMPS)
    assert answer.sentence.endswith(f"loss<0.1% and errors<1%. Fails at 1 500. {NAMED}")
    assert answer.bottleneck == "server CPU; 41 % of it in json.dumps (handlers.py:88)"
    assert answer.evidence[0] == "the server used 99 % of one core"


@pytest.mark.parametrize("plan", [Plan(given=(200,)), Plan()], ids=["one level", "no level holds"])
def test_a_level_that_fails_alone_has_the_function_too(plan: Plan) -> None:
    answer = build_answer(make.question(plan=plan), [make.failing(200)] * 2, Ending.STEPS_DONE, DUMPS)
    assert "does not hold 200 chatting users" in answer.sentence
    assert answer.sentence.endswith(f"missed deliver_p99<250ms: 1.84 s. {NAMED}")


def test_another_bottleneck_has_no_function() -> None:
    steps = [make.step(100), *[make.failing(200, server_cpu=0.4, server_loop_lag_p99_ms=1.0)] * 2]
    answer = build_answer(make.question(), steps, Ending.CONVERGED, DUMPS)
    assert answer.bottleneck is not None
    assert answer.bottleneck.startswith("none of the observed resources")
    assert "json.dumps" not in answer.sentence
