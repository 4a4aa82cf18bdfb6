"""Drills of real servers: the drops and reconnects agree with the server's own record."""

from __future__ import annotations

import json
import re
import shlex
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psutil
import pytest

from benchmarks.processes import BenchmarkError
from capacity.report.history import saved_runs
from tests.capacity.drill.deployed import bundled, deployed
from tests.deploy.conftest import balancer
from tests.dialects.programs import PROGRAMS
from tests.metrics.fixtures import skip_or_fail, wait_until
from tests.processes import get_page
from tests.server.cluster.fixtures import Nats
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from capacity.record.drill import DrillRecord
    from tests.capacity.fixtures import Run

USERS = 8
INVALID = 98
MOST_RUNS = 3  # a machine that stalls makes a run invalid, or leaves deliveries of the short window behind
TOLERANT = (
    *("--users", str(USERS), "--room-size", "4", "--message-rate", "10", "--processes", "1"),
    *("--window", "1", "--settle", "1", "--slo", "deliver_p99<60s", "--slo", "resync_p95<60s", "--slo", "loss<50%"),
)  # fmt: skip


def drill(capacity: Callable[..., Run], command: str, *flags: str) -> Run:
    """Run a drill that noise does not make invalid."""
    for _ in range(MOST_RUNS):
        run = capacity(*TOLERANT, "--run", command, *flags, command="drill")
        code, reasons = run.wait(), [reason for step in run.report.steps for reason in step.reasons]
        if code != INVALID and not any("of the expected deliveries arrived" in reason for reason in reasons):
            break
    return run


def record_of(run: Run) -> DrillRecord:
    found = run.report.drill
    assert found is not None, run.errors
    return found


def check_all_are_back(record: DrillRecord) -> None:
    assert (record.verdict, record.command_exit_code) == ("pass", 0), record.reasons
    assert record.users == record.dropped == record.resynced == USERS
    assert record.reconnects == record.lost_connections == sum(record.drop_causes.values())
    assert sum(record.lost_per_second) == record.lost_connections
    assert record.reconnects_busiest_second <= record.reconnects
    assert record.first_drop_seconds is not None
    assert record.last_drop_seconds is not None
    assert record.command_seconds is not None
    assert 0 < record.first_drop_seconds <= record.last_drop_seconds <= record.command_seconds
    assert record.resync_p50_seconds is not None
    assert record.resync_p95_seconds is not None
    assert record.resync_all_seconds is not None
    assert 0 < record.resync_p50_seconds <= record.resync_p95_seconds <= record.resync_all_seconds
    assert record.recovered_seconds is not None
    assert record.recovered_seconds >= record.first_drop_seconds
    assert min(second.ready for second in record.timeline) < USERS == record.timeline[-1].ready


def test_a_server_that_drains_and_starts_again_drops_every_user_once(
    capacity: Callable[..., Run], tmp_path: Path
) -> None:
    with deployed(tmp_path, *bundled("--drain-seconds", "1")) as server:
        before = server.pid
        run = drill(capacity, server.restart(), "--host", server.url, "--processes", "2")
        assert run.process.returncode == 0, run.errors
        assert server.pid != before
        assert psutil.pid_exists(server.pid), "what the command started goes on after the drill"
    record = record_of(run)
    check_all_are_back(record)
    assert record.drop_causes == {"connection lost: 1012": USERS}
    assert server.closed("reason=drain code=1012") == record.lost_connections
    assert server.closed() == USERS + record.reconnects
    assert record.unaffected_p99_ms is None, "nobody stayed"
    report = run.report
    assert report.answer.headline == f"{USERS} of {USERS}"
    assert f"The command dropped {USERS} of {USERS} chatting users" in report.answer.sentence
    assert "All was as before" in report.answer.sentence
    assert run.runs[:2] == ["index.html", "compare.html"]
    assert run.report in [saved.report for saved in saved_runs(run.folder.parent.parent / "runs")]
    page = (run.folder / "report.html").read_text()
    assert "Users, connections and latency during the drill" in page
    assert page.count("<svg") == 2


@pytest.fixture
def nats() -> Iterator[Nats]:
    running = Nats()
    yield running
    running.kill()


def test_two_servers_behind_haproxy_restarted_one_after_the_other_drop_users_again(
    capacity: Callable[..., Run], tmp_path: Path, nats: Nats
) -> None:
    flags = bundled("--drain-seconds", "1", "--nats", nats.url, "--trusted-proxy", "127.0.0.1")
    with ExitStack() as stack:
        one, two = (stack.enter_context(deployed(tmp_path, *flags)) for _ in range(2))
        front = stack.enter_context(balancer(one.address, two.address))
        wait_until(lambda: front.is_up(1) and front.is_up(2), "both servers to be used")
        page = f"{front.status}/metrics"
        up = 'haproxy_server_status{{proxy="healthy",server="server{}",state="UP"}} 1'
        restarts = [server.restart("--then", page, up.format(number)) for number, server in enumerate((one, two), 1)]
        run = drill(capacity, " && ".join(restarts), "--host", front.url)
        assert run.process.returncode == 0, run.errors
    record = record_of(run)
    check_all_are_back(record)
    drained = [server.closed("reason=drain") for server in (one, two)]
    assert all(drained)
    assert sum(drained) == record.lost_connections == record.outages
    assert record.outages > USERS, "some users moved to the server that was restarted next"
    assert one.closed() + two.closed() == USERS + record.reconnects
    assert f"in {record.outages} outages" in run.report.answer.sentence


def test_a_socket_io_server_that_is_killed_and_restarted(capacity: Callable[..., Run], tmp_path: Path) -> None:
    try:
        program = PROGRAMS["socket.io"].server()
    except BenchmarkError as problem:
        skip_or_fail(str(problem))
    with deployed(tmp_path, *program) as server:
        command = server.restart("--signal", "SIGKILL")
        flags = ("--host", server.url, "--dialect", "socketio", "--join-grace", "0.5")
        run = drill(capacity, command, *flags)
        assert run.process.returncode == 0, run.errors
        accepted = json.loads(get_page(f"http://{server.address}/counts"))["accepted"]
    record = record_of(run)
    check_all_are_back(record)
    assert record.drop_causes == {"connection lost: 1006": USERS}
    assert record.reconnects == accepted == USERS
    assert run.report.dialect == "socketio"


def test_nobody_is_dropped_by_a_command_that_does_nothing(capacity: Callable[..., Run]) -> None:
    run = drill(capacity, 'kill -0 "$STAMPEDE_SERVER_PID" && echo "the server is at $STAMPEDE_HOST"')
    assert run.process.returncode == 0, run.errors
    record = record_of(run)
    assert (record.dropped, record.outages, record.lost_connections, record.command_exit_code) == (0, 0, 0, 0)
    assert (record.resync_p95_seconds, record.first_drop_seconds) == (None, None)
    assert record.recovered_seconds == 0
    assert record.unaffected_p99_ms is not None
    assert run.report.answer.sentence.startswith(f"Nobody was dropped: all {USERS} chatting users")
    (line,) = record.command_output
    assert line.startswith("the server is at ws://127.0.0.1:")


def test_the_example_of_the_document_pauses_the_server_and_nobody_is_dropped(capacity: Callable[..., Run]) -> None:
    document = (ROOT / "capacity" / "README.md").read_text()
    (line,) = re.findall(r"python -m capacity drill (.*STAMPEDE_SERVER_PID.*)", document)
    words = shlex.split(line)
    assert words[0] == "--users"
    for _ in range(MOST_RUNS):
        run = capacity(*words, *TOLERANT, "--slo", "deliver_p99<1s", command="drill")
        if run.wait() != INVALID and run.report.drill is not None:
            break
    assert run.process.returncode == 99, run.errors
    record = record_of(run)
    assert (record.dropped, record.command_exit_code, record.signals) == (0, 0, ["deliver_p99"])
    assert record.unaffected_p99_ms is not None
    assert record.unaffected_p99_ms > 1000
    assert record.recovered_seconds is not None
    assert record.recovered_seconds > 1
    assert "Nobody was dropped" in run.report.answer.sentence
    assert "SLOs not met: missed deliver_p99<1s" in run.report.answer.sentence


def test_a_command_that_fails_makes_the_drill_invalid_and_its_output_is_shown(capacity: Callable[..., Run]) -> None:
    run = capacity(*TOLERANT, "--run", "echo deploying; echo 'no such image' >&2; exit 3", command="drill")
    assert run.wait() == INVALID
    record = record_of(run)
    assert record.command_exit_code == 3
    assert record.command_output == ["deploying", "no such image"]
    assert record.reasons[0] == "the command failed with exit code 3: no such image"
    assert (record.dropped, record.users) == (0, USERS)
    assert record.unaffected_p99_ms is not None, "figures are reported all the same"
    assert run.report.status == "complete"


def test_ctrl_c_ends_the_command_and_keeps_a_partial_report(capacity: Callable[..., Run], tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = f"touch {shlex.quote(str(started))}; sleep 1000 & sleep 1000"
    run = capacity(*TOLERANT, "--run", command, command="drill")
    wait_until(started.exists, "the command to start")
    time.sleep(1.5)  # for a reading
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 130  # and no process is left
    assert run.error == "capacity: interrupted by Ctrl-C"
    record = record_of(run)
    assert (record.command_exit_code, record.verdict) == (None, "invalid")
    assert run.report.status == "partial"
    assert "Interrupted; so far: Nobody was dropped" in run.report.answer.sentence


def test_a_missed_slo_before_the_command_ends_the_drill_without_it(
    capacity: Callable[..., Run], tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    command = f"touch {shlex.quote(str(touched))}"
    # Without metrics of the server, its lack of CPU time does not make a missed SLO invalid.
    with deployed(tmp_path, *bundled("--metrics-port", "0")) as server:
        run = drill(capacity, command, "--host", server.url, "--slo", "reordered<0%")
    assert run.process.returncode == 99, run.errors
    assert not touched.exists()
    assert run.report.drill is None
    assert "The command did not run. Before it, with 8 chatting users" in run.report.answer.sentence
