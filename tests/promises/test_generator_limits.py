"""A limit of the load generator's machine makes the run invalid and is reported once, not as a server failure."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import skip_or_fail
from tests.promises.hosts import inside, problem
from tests.stampede.fixtures import has_delivered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import FinishedRun, Locust

TALK = ("ChattingUser", "--room-size", "10", "--message-rate", "5")
QUIET_TALK = (*TALK[:-1], "0.2")
PORTS = 60
FILES = 140

# A user class that raises in every process.
FAILING_USER = """
from locust import constant, task
from stampede import ChatUser

class FailingUser(ChatUser):
    fixed_count = 3
    wait_time = constant(60)

    @task
    def fail(self):
        raise ZeroDivisionError(f"raised by the user at place {self.place}")
"""

# Discards the first MANY assignments in every worker.
LOST_ASSIGNMENTS = """
from stampede.locust import plugin
from stampede.locust.agents.worker import WorkerAgent

plugin._ASSIGNMENT_SECONDS = TIMEOUT
assign_original, discarded = WorkerAgent.assign, 0

def assign(self, assignment):
    global discarded
    discarded += 1
    if discarded > MANY:
        assign_original(self, assignment)

WorkerAgent.assign = assign
"""

# Blocks the event loop for 0.6 s at a time: too rarely for a window of health checks, too long for p99.
BLOCKING = """
import time, gevent
from locust import events

def block():
    while True:
        gevent.sleep(0.4)
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            pass

events.test_start.add_listener(lambda **_: gevent.spawn(block))
"""


def count_in(ended: FinishedRun, kind: str, reason: str) -> int:
    """Return how often a fault occurred, from its one line; users may retry after the table was printed."""
    (line,) = [why for why in ended.invalid if why.startswith(kind)]
    match = re.fullmatch(reason, line)
    assert match is not None, line
    return int(match[1])


@pytest.fixture
def few_ports() -> list[str]:
    """Return a command prefix that runs a command with few local ports."""
    if why := problem():
        skip_or_fail(why)
    return inside(sys.executable, "-m", "tests.promises.few_ports", str(PORTS))


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_exhausted_local_ports_make_the_run_invalid_and_are_reported_once(
    locust: Callable[..., Locust], few_ports: list[str], processes: list[str]
) -> None:
    flags = ("--headless", "--host", "{url}", *QUIET_TALK, "-u", "100", "-r", "100", "-t", "5s", *processes)
    ended = locust(*flags, through=few_ports).wait()
    assert ended.code == 98, ended.out + ended.log
    reason = (
        r"local ports: no local port was left for (\d+) connections \(net.ipv4.ip_local_port_range is 40000 to 40059\)"
    )
    assert count_in(ended, "local ports", reason) >= ended.requests()["connect"][1] > 0
    assert "Widen net.ipv4.ip_local_port_range" in ended.out
    assert "valid: the generator kept up" not in ended.out


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_too_few_open_files_make_the_run_invalid_without_a_traceback(
    locust: Callable[..., Locust], server: RunningServer, processes: list[str]
) -> None:
    flags = ("--headless", "--host", server.url, *QUIET_TALK, "-u", "300", "-r", "300", "-t", "5s", *processes)
    ended = locust(*flags, through=("prlimit", f"--nofile={FILES}:{FILES}")).wait()
    assert ended.code == 98, ended.out + ended.log
    reason = rf"open files: (\d+) connections exceeded the limit of open files \(ulimit -n is {FILES}\)"
    assert count_in(ended, "open files", reason) >= ended.requests()["connect"][1] > 0
    assert ended.log.count("This machine is at a limit") == max(1, len(processes))


def test_an_exception_of_user_code_makes_the_run_invalid_and_is_logged_once(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(FAILING_USER)
    flags = ("-u", "13", "-r", "13", "-t", "4s", "--room-size", "10", "-f", f"loadtest,{locustfile}")
    running = locust("--headless", "--host", server.url, *flags, "ChattingUser", "FailingUser")
    ended = running.wait(traceback=True)
    assert ended.code == 98, ended.out + ended.log
    assert len([why for why in ended.invalid if why.startswith("user code: ")]) == 1
    (why,) = [why for why in ended.invalid if why.startswith("user code: ")]
    assert re.match(r"user code: exception in user code, 3 times \(raised by the user at place \d+, File ", why)
    assert "in fail" in why
    assert ended.log.count("ERROR/locust.user.task") == 1


def test_a_lost_assignment_is_requested_again(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(LOST_ASSIGNMENTS.replace("MANY", "1").replace("TIMEOUT", "10.0"))
    flags = ("-u", "20", "-r", "20", "--processes", "2", "-f", f"loadtest,{locustfile}")
    running = locust("--headless", "--host", server.url, *flags, *TALK)
    ended = running.stop_once(has_delivered(server, 500, joins=20))
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.requests()["join"] == (20, 0)
    assert ended.ledger()["received"] == ended.ledger()["expected"] > 0


def test_an_assignment_that_never_arrives_makes_the_run_invalid(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(LOST_ASSIGNMENTS.replace("MANY", "1_000_000").replace("TIMEOUT", "3.0"))
    flags = ("-u", "20", "-r", "20", "-t", "6s", "--processes", "2", "-f", f"loadtest,{locustfile}")
    ended = locust("--headless", "--host", server.url, *flags, *TALK).wait()
    assert ended.code == 98, ended.out + ended.log
    (reason,) = [why for why in ended.invalid if why.startswith("assignment: ")]
    assert reason == (
        "assignment: a worker never received its assignment, so its users did not run (none arrived within 3 s)"
    )


def test_a_run_shorter_than_the_health_windows_is_judged_as_a_whole(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    locustfile = tmp_path / "blocking.py"
    locustfile.write_text(BLOCKING)
    flags = ("-u", "10", "-r", "10", "-t", "4s", "-f", f"loadtest,{locustfile}")
    ended = locust("--headless", "--host", server.url, *flags, *TALK).wait()
    assert ended.code == 98, ended.out + ended.log
    for signal in ("send lag", "loop lag"):
        (reason,) = [why for why in ended.invalid if why.startswith(signal)]
        assert re.fullmatch(rf"{signal}: p99 \d+ ms over the whole run", reason)
        row = re.search(rf"{signal}, whole run .*p99 ([\d.]+) ms", ended.out)
        assert row is not None
        assert float(row[1]) > 100
    assert "Use more --processes" not in ended.out
