"""Real runs with a real server and Locust. The assertions also hold on a slow machine."""

from __future__ import annotations

import http.server
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from benchmarks.accuracy.limited_server import start_limited_server
from capacity.processes.process import free_port
from tests.capacity.run_options import QUICK, TOLERANT, USERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.processes import ServerProcess
    from tests.capacity.fixtures import Run
    from tests.metrics.fixtures import StartPrometheus
    from tests.processes import RunningServer


def test_a_server_with_a_known_limit_gets_a_real_interval(capacity: Callable[..., Run]) -> None:
    load = ("--room-size", "4", "--message-rate", "4")
    with start_limited_server("--limit", "144") as (url, _):  # the limit is twelve of these users
        # An SLO of 2 s tolerates a generator lag of 500 ms.
        tolerant = ("--window", "1", "--settle", "1", "--slo", "deliver_p99<2s")
        # Start above the limit: no time is reserved for confirmations before a level passes, so both ends are found.
        search = ("--users-min", "16", "--max-duration", "45")  # on a busy machine each step takes longer
        run = capacity("--host", url, *load, *search, *tolerant, "--target-users", "1000")
        assert run.wait() == 0, run.errors
    report = run.report
    answer = report.answer
    assert report.status == "complete"
    assert answer.supported_users is not None
    # Short windows find the limit only roughly; `benchmarks.accuracy` uses longer ones.
    assert answer.supported_users <= 20
    assert answer.first_failing_users is not None
    assert answer.first_failing_users >= 9
    assert answer.supported_users < answer.first_failing_users
    assert answer.projected_users is None
    assert report.environment.libraries["locust"]
    assert report.sizing is not None
    assert report.sizing.users_per_process == answer.supported_users
    pages = ["index.html", "compare.html"]
    assert run.runs == [*pages, f"{report.environment.started_at[:19].replace(':', '-')}-{run.revision}"]
    for step in report.steps:
        assert (step.expected is None) == (step.window_s is None)


def test_metrics_that_stop_during_a_run_make_steps_invalid(capacity: Callable[..., Run]) -> None:
    with start_limited_server("--limit", "50000") as (url, process):
        run = capacity("--host", url, "--steps", ",".join([USERS] * 60), *TOLERANT)
        run.await_first_verdict()
        process.send_signal(signal.SIGUSR1)
        run.await_line(" users  ", " invalid ", "metrics answered 503")
        run.process.terminate()
        check_interrupted(run, 143, "capacity: ended by SIGTERM")
    silent = [step for step in run.report.steps if any("metrics answered 503" in reason for reason in step.reasons)]
    assert silent[-1].verdict == "invalid"


def end_server(run: Run) -> None:
    run.child("server").kill()


def end_generator(run: Run) -> None:
    run.child("locust").kill()


@pytest.mark.parametrize(
    ("disturb", "code", "error"),
    [
        (end_server, 98, "capacity: the server was ended by SIGKILL"),
        (end_generator, 98, "capacity: the load generator was ended by SIGKILL"),
    ],
)
def test_an_interrupted_run_keeps_its_report_and_ends_all_processes(
    capacity: Callable[..., Run], disturb: Callable[[Run], None], code: int, error: str
) -> None:
    run = capacity("--steps", ",".join([USERS] * 50), *QUICK)
    run.await_first_verdict()
    disturb(run)
    check_interrupted(run, code, error)


def check_interrupted(run: Run, code: int, error: str) -> None:
    """Check that a run ended early, with all its processes, and kept its report."""
    assert run.wait() == code
    assert run.error == error
    assert run.report.status == "partial"
    assert run.report.status_reason == error.removeprefix("capacity: ")
    assert run.report.steps[0].users == int(USERS)
    assert run.report.answer.ending == "cut short"


def test_a_run_that_ctrl_c_interrupted_resumes_where_it_stopped(capacity: Callable[..., Run]) -> None:
    run = capacity("--users-min", USERS, "--users-max", USERS, *TOLERANT)
    run.await_first_verdict()
    run.process.send_signal(signal.SIGINT)
    check_interrupted(run, 130, "capacity: interrupted by Ctrl-C")
    again = capacity("--resume", str(run.folder))
    assert again.wait() == 0, again.errors
    before, after = run.report.steps, again.report.steps
    assert after[: len(before)] == before
    assert len(after) > len(before)
    assert after[len(before)].started_s > before[-1].started_s + before[-1].settle_s  # figures are rounded
    assert again.report.status == "complete"
    assert again.report.answer.ending != "cut short"


@pytest.fixture
def plain_pages() -> Iterator[str]:
    """A web server without WebSockets."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"ws://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_host_without_listener_is_one_line_and_exit_code_2(capacity: Callable[..., Run]) -> None:
    run = capacity("--host", f"ws://127.0.0.1:{free_port()}")
    assert run.wait() == 2
    assert "cannot connect to ws://127.0.0.1:" in run.error
    assert "connection refused" in run.error
    assert not (run.folder / "report.json").exists()


def test_a_host_without_websocket_server_is_one_line_and_exit_code_2(
    capacity: Callable[..., Run], plain_pages: str
) -> None:
    run = capacity("--host", plain_pages)
    assert run.wait() == 2
    assert "the server does not speak HTTP/1.1" in run.error


def test_a_host_with_another_protocol_is_one_line_and_exit_code_2(
    capacity: Callable[..., Run], server: RunningServer
) -> None:
    run = capacity("--host", f"{server.url}/ws/echo")
    assert run.wait() == 2
    assert "sent no greeting within 5 s; is this a Stampede server?" in run.error


LEVELS = """
[[level]]
figure = "deliver_p99"
threshold = "60s"
window = 2
grace = 0.5

[[level]]
name = "connections"
promql = "sum(last_over_time(chat_connections[10s]))"  # one scrape may be late
threshold = 3
window = 4
"""


def test_a_missed_promql_slo_exits_with_99_and_keeps_the_server_running(
    capacity: Callable[..., Run], server: RunningServer, start_prometheus: StartPrometheus, tmp_path: Path
) -> None:
    prometheus = start_prometheus(chat=server.url)
    (tmp_path / "levels.toml").write_text(LEVELS)
    flags = ("--prometheus", prometheus.url, "--slo-file", str(tmp_path / "levels.toml"))
    window = ("--window", "3")  # two scrapes, also if one is late
    run = capacity("--host", server.url, "--bounded", "4", *flags, *QUICK, *window)
    assert run.wait() == 99, run.errors
    report = run.report
    assert f"The server at {server.url} does not hold 4 chatting users" in report.answer.sentence
    assert report.missing == []
    last = report.steps[-1]
    assert last.figures["connections<3"] == 4
    assert last.figures["deliver_p99<60s"] is not None
    assert "missed connections<3: 4" in last.reasons
    assert server.get("/health") == "OK"


def test_a_running_server_that_ends_ends_the_run(capacity: Callable[..., Run], server: RunningServer) -> None:
    run = capacity("--host", server.url, "--steps", ",".join([USERS] * 50), *QUICK)
    run.await_first_verdict()
    server.kill()
    assert run.wait() == 98
    assert run.error == f"capacity: the server at {server.url} no longer listens: connection refused"
    assert run.report.status == "partial"


def test_a_plain_peer_without_metrics_is_measured_and_the_report_says_what_is_missing(
    capacity: Callable[..., Run], plain_peer: ServerProcess
) -> None:
    run = capacity("--host", plain_peer.url, "--bounded", USERS, *TOLERANT)
    assert run.wait() == 0, run.errors
    assert "no metrics at http://127.0.0.1:" in run.report.missing[0]
    pages = ["index.html", "compare.html"]
    assert run.runs == [*pages, f"{run.report.environment.started_at[:19].replace(':', '-')}-{run.revision}"]
    last = run.report.steps[-1]
    assert last.server_loop_lag_p99_ms is None
    assert last.verdict == "pass"


def test_an_slo_without_data_is_invalid_and_exits_with_98(capacity: Callable[..., Run]) -> None:
    run = capacity("--bounded", USERS, "--slo", "resync_p95<5s", *TOLERANT)
    assert run.wait() == 98
    assert [step.verdict for step in run.report.steps] == ["invalid", "invalid"]
    assert "no data for resync_p95" in run.report.answer.sentence


def test_several_generator_processes_and_a_mix_of_users_are_driven(capacity: Callable[..., Run]) -> None:
    mix = ("--processes", "2", "--mix", "ChattingUser=3,ListeningUser=1", "--room-size", "4")
    run = capacity("--steps", "8", *TOLERANT, *mix, "--window", "6")  # several reports of both workers
    assert run.wait() == 0, run.errors
    step = run.report.steps[-1]
    assert len(step.generator_cpu) == 2
    assert step.ready == 8
    # Three quarters of the users send ten messages a second each.
    assert step.sends_intended is not None
    assert step.window_s is not None
    assert step.sends_intended / step.window_s == pytest.approx(60, rel=0.2)


def test_a_folder_that_is_not_writable_is_one_line_and_exit_code_2(capacity: Callable[..., Run]) -> None:
    run = capacity("--report", "/dev/null/report")
    assert run.wait() == 2
    assert run.error.startswith("capacity: --report /dev/null/report: ")


def test_an_option_that_locust_refuses_is_one_line_and_exit_code_2(capacity: Callable[..., Run]) -> None:
    run = capacity("--backoff", "sometimes", *QUICK)
    assert run.wait() == 2
    assert run.error.startswith("capacity: argument --backoff: invalid choice: 'sometimes'")
