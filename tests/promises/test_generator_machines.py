"""Capacity runs with the load generator on other machines, each a network namespace with a name of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from capacity.record.report import RunReport, read_report
from tests.metrics.fixtures import skip_or_fail
from tests.promises.generator_machines import GENERATORS, Outcome, run_scenario
from tests.promises.hosts import problem

if TYPE_CHECKING:
    from pathlib import Path

MOST_RUNS = 3  # a busy machine makes a run invalid


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    if why := problem():
        skip_or_fail(why)


def run(scenario: str, folder: Path, code: int) -> tuple[Outcome, RunReport]:
    """Run a scenario until the run ends with an exit code; return what happened, and its report."""
    for attempt in range(MOST_RUNS):
        to = folder / str(attempt)
        to.mkdir()
        outcome = run_scenario(scenario, to)
        if outcome.code == code:
            break
    assert outcome.code == code, outcome.output
    assert outcome.left == []
    return outcome, read_report(to / "report" / "report.json")


def error_of(outcome: Outcome) -> str:
    (line,) = (line for line in outcome.output if line.startswith("capacity: "))
    return line


def test_a_run_goes_on_after_a_killed_and_a_paused_worker(tmp_path: Path) -> None:
    outcome, report = run("recovery", tmp_path, 0)
    assert report.status == "complete"
    assert report.environment.generator_processes == 3
    assert [(one.name, one.host) for one in report.workers] == [
        (f"worker {index}", host) for index, host in enumerate(GENERATORS)
    ]
    assert {one.state for one in report.workers} == {"connected"}
    assert all(report.workers[index].invalid_steps >= 1 for index in (1, 2))
    disturbed = [step for step in report.steps if step.has_lost_worker]
    assert disturbed[0].reasons == ["load generator worker 1 on host-b ended"]
    assert re.fullmatch(r"load generator worker 2 on host-c last reported \d+ s ago", disturbed[-1].reasons[0])
    assert "fail" not in {step.verdict for step in report.steps}
    for step in disturbed:  # each level was measured after all
        assert [one.verdict for one in report.steps if one.users == step.users][-1] == "pass"
    for step in report.steps:
        if step.verdict == "pass":
            assert len(step.generator_cpu) == 3
    assert outcome.workers == [0, 0, 0]


def test_workers_on_two_hosts_count_exactly_what_the_server_counts(tmp_path: Path) -> None:
    outcome, report = run("counts", tmp_path, 0)
    sent = re.search(r"(\d+) sent", outcome.summary)
    ledger = re.search(r"(\d+) expected, (\d+) received, (\d+) lost, 0 duplicated, 0 reordered", outcome.summary)
    assert sent is not None
    assert ledger is not None
    expected, received, lost = (int(one) for one in ledger.groups())
    assert expected == received + lost
    assert (int(sent[1]), received) == outcome.counted
    step = report.steps[-1]
    assert (step.lost, len(step.generator_cpu)) == (0, 2)


def test_ctrl_c_ends_the_workers_on_all_hosts_and_keeps_a_partial_report(tmp_path: Path) -> None:
    outcome, report = run("interrupted", tmp_path, 130)
    assert outcome.workers == [0, 0]
    assert (report.status, report.status_reason) == ("partial", "interrupted by Ctrl-C")
    assert report.steps[0].users == 8


def test_a_worker_that_never_comes_is_one_line(tmp_path: Path) -> None:
    outcome, report = run("absent", tmp_path, 98)
    assert error_of(outcome) == (
        "capacity: the load generator workers did not connect within 6 s (--worker-timeout): 1 of 2 connected: host-a"
    )
    assert report.status == "partial"
    assert outcome.workers == [0]
    command = next(line for line in outcome.output if "each with: " in line)
    assert re.search(r"locust -f - --worker --master-host 10\.0\.0\.2 --master-port 5557$", command)


def test_a_worker_that_does_not_come_back_is_named_in_one_line(tmp_path: Path) -> None:
    outcome, report = run("lost", tmp_path, 98)
    assert error_of(outcome) == (
        "capacity: load generator worker 1 on host-b ended, and did not come back within 12 s (--worker-timeout): "
        "1 of 2 connected: host-a"
    )
    assert report.status == "partial"
    assert (report.workers[1].host, report.workers[1].state) == ("host-b", "ended")
    assert report.steps[0].users == 8
