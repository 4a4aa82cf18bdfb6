"""A limit of the load generator's machine makes a step invalid, with its name: it is not a limit of the server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from capacity.judge.generator_health import FAULT
from capacity.record.step import Cause
from capacity.report.answer import build_answer
from capacity.search.search import Ending
from tests.capacity import make
from tests.metrics.fixtures import skip_or_fail
from tests.promises.hosts import inside, problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capacity.fixtures import Run
    from tests.processes import RunningServer

QUICK = ("--bounded", "100", "--window", "1", "--settle", "1")
FEW = "60"


def reason(run: Run) -> str:
    """Return the first reason why the last step of a run was invalid."""
    assert run.wait() == 98, run.errors
    step = run.report.steps[-1]
    assert (step.verdict, step.signals[0]) == ("invalid", FAULT), step.reasons
    assert "load generator fault" in run.report.answer.sentence
    return step.reasons[0]


def test_exhausted_local_ports_make_a_step_invalid(capacity: Callable[..., Run]) -> None:
    if why := problem():
        skip_or_fail(why)
    through = inside(sys.executable, "-m", "tests.promises.few_ports", FEW)
    text = reason(capacity("--host", "{url}", *QUICK, through=through))
    assert text.startswith("load generator fault: local ports, ")
    assert text.endswith(" times (net.ipv4.ip_local_port_range is 40000 to 40059)")


def test_too_few_open_files_for_the_load_generator_make_a_step_invalid(
    capacity: Callable[..., Run], server: RunningServer
) -> None:
    text = reason(capacity("--host", server.url, *QUICK, "--processes", "1", through=("prlimit", "--nofile=120:120")))
    assert text.startswith("load generator fault: open files, ")
    assert text.endswith(" times (ulimit -n is 120)")


def test_too_few_open_files_for_the_bundled_server_make_a_step_invalid(capacity: Callable[..., Run]) -> None:
    text = reason(capacity(*QUICK, through=("prlimit", "--nofile=428:428")))
    assert "open files, this machine lets each server process open 428 (ulimit -n): enough for 38 users" in text


def test_an_answer_limited_by_a_fault_names_the_fault_and_not_more_cores() -> None:
    """With a full generator core instead, the same steps suggest `--processes 2`."""
    text = "load generator fault: local ports, 40 times"
    steps = [
        msgspec.structs.replace(step, reasons=[text], signals=[FAULT], causes=[Cause.GENERATOR])
        if step.verdict == "invalid"
        else step
        for step in make.generator_first()
    ]
    answer = build_answer(make.question(), steps, Ending.GENERATOR)
    assert answer.generator_limited_at == 2000
    assert "At 2 000 the load generator was the limit, not the server" in answer.sentence
    assert f"; {text}." in answer.sentence
    assert "--processes" not in answer.sentence
    assert answer.confirm_with is None
    full = build_answer(make.question(), make.generator_first(), Ending.GENERATOR)
    assert full.confirm_with == "python -m capacity --processes 2"
