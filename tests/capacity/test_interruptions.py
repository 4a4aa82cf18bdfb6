"""Whatever interrupts a run of any server and any users: its report is kept, and no process is left."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.capacity.hanging_prometheus import HangingPrometheus
from tests.capacity.run_options import TOLERANT, USERS
from tests.processes import start_server
from tests.stampede.check.acme import AcmeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.capacity.fixtures import Run

SHOPPERS = """
from locust import between, task
from stampede import ChatUser

class Shopper(ChatUser):
    wait_time = between(0.05, 0.1)

    @task
    def ask(self):
        self.client.say("How much is it?")
"""
LEVELS = '[[level]]\nname = "pods"\npromql = "sum(up)"\nthreshold = 5\n'
STEPS = ("--steps", ",".join([USERS] * 50), *TOLERANT)


class Target(NamedTuple):
    """A server: the options that lead to it, and how it dies."""

    flags: tuple[str, ...]
    die: Callable[[], object]


@pytest.fixture(params=["a foreign dialect", "a locustfile", "a process id"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    with ExitStack() as stack:
        if request.param == "a foreign dialect":
            acme = stack.enter_context(ExitStack())
            url = acme.enter_context(AcmeServer().running())
            yield Target(("--host", url, "--dialect", "tests.stampede.check.acme:AcmeDialect"), acme.close)
            return
        server = start_server()
        stack.callback(server.stop)
        host = ("--host", server.url)
        if request.param == "a process id":
            yield Target((*host, "--server-pid", str(server.process.pid)), server.kill)
            return
        (tmp_path / "shoppers.py").write_text(SHOPPERS)
        yield Target((*host, "--locustfile", str(tmp_path / "shoppers.py")), server.kill)


def test_a_server_that_dies_leaves_a_report_and_no_process(capacity: Callable[..., Run], target: Target) -> None:
    run = capacity(*target.flags, *STEPS)
    run.await_first_verdict()
    target.die()
    assert run.wait() == 98
    check_partial(run)


def test_ctrl_c_during_a_hanging_query_leaves_a_report_and_no_process(
    capacity: Callable[..., Run], target: Target, tmp_path: Path
) -> None:
    (tmp_path / "levels.toml").write_text(LEVELS)
    prometheus = HangingPrometheus()
    with prometheus.running() as url:
        run = capacity(*target.flags, *STEPS, "--prometheus", url, "--slo-file", str(tmp_path / "levels.toml"))
        run.await_first_verdict()
        prometheus.hang.set()
        run.await_verdict(" invalid ")
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 130
    check_partial(run)
    assert run.error == "capacity: interrupted by Ctrl-C"
    steps = run.report.steps
    assert "no data for pods" in steps[-1].reasons
    # The step in which it began to hang, those after it, and the one that Ctrl-C interrupted: one query each.
    assert 1 <= prometheus.unanswered <= len([step for step in steps if step.verdict == "invalid"]) + 2


def check_partial(run: Run) -> None:
    """Check the report of an interrupted run, and that it is one line on stderr."""
    report = run.report
    assert run.error == f"capacity: {report.status_reason}"
    assert report.status == "partial"
    assert report.steps
    assert report.answer.ending == "cut short"
