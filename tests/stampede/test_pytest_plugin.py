"""The pytest plugin: its fixture, its mark, and its place beside other plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.promises.faulty_server import faulty_server
from tests.stampede.pytest_runs import run_pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import RunningServer

HELLO = """
def test_hello(load_generator):
    ann, bob = load_generator.join("room", users=2)
    ann.say("hello")
    assert load_generator.drain(timeout=60)
"""

MARKED = """
import pytest

@pytest.mark.stampede(thresholds=[{thresholds}])
def test_marked(load_generator):
    ann, bob = load_generator.join("room", users=2)
    for _ in range({messages}):
        ann.say()
"""

EXAMPLE = """
from stampede import LoadGenerator

def test_two_users_hear_each_other(server_url):
    with LoadGenerator(server_url) as generator:
        ann, bob = generator.join("room", users=2)
        ann.say("hello")
        generator.drain(timeout=5)
    assert generator.ledger.received == 1 and not generator.ledger.lost
    assert generator.latency.quantile(0.99) < 0.250   # seconds
"""


def marked(*thresholds: str, messages: int = 20) -> str:
    return MARKED.format(thresholds=", ".join(map(repr, thresholds)), messages=messages)


# --- the fixture ---


def test_the_server_is_given_by_an_option_or_the_environment(server: RunningServer, tmp_path: Path) -> None:
    run = run_pytest(tmp_path, "--stampede-url", server.url, test_one=HELLO)
    assert (run.code, run.outcomes) == (0, {"passed": 1}), run.out
    conftest = f"import os\nos.environ['STAMPEDE_URL'] = {server.url!r}\n"
    run = run_pytest(tmp_path, conftest=conftest, test_one=HELLO)
    assert (run.code, run.outcomes) == (0, {"passed": 1}), run.out


def test_a_fixture_may_start_the_server(server: RunningServer, tmp_path: Path) -> None:
    conftest = f"import pytest\n@pytest.fixture(scope='module')\ndef stampede_url():\n    return {server.url!r}\n"
    run = run_pytest(tmp_path, conftest=conftest, test_one=HELLO)
    assert (run.code, run.outcomes) == (0, {"passed": 1}), run.out


def test_a_missing_server_is_an_error_of_one_line(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, test_one=HELLO)
    assert (run.code, run.outcomes) == (1, {"error": 1})
    assert "no server: give --stampede-url or STAMPEDE_URL, or define a fixture stampede_url" in run.out
    assert "Traceback" not in run.out


def test_fixtures_that_use_the_generator_may_use_their_clients_in_their_teardown(
    server: RunningServer, tmp_path: Path
) -> None:
    test = """
import pytest

@pytest.fixture
def ann(load_generator):
    (client,) = load_generator.join("room")
    yield client
    assert client.leave()

@pytest.mark.stampede(thresholds=["errors<1%"])
def test_with_a_client(ann):
    assert ann.is_connected
"""
    run = run_pytest(tmp_path, "--stampede-url", server.url, test_one=test)
    assert (run.code, run.outcomes) == (0, {"passed": 1}), run.out


def test_a_test_that_fails_is_one_failure_and_closes_its_connections(server: RunningServer, tmp_path: Path) -> None:
    test = HELLO + "    raise ZeroDivisionError\n"
    run = run_pytest(tmp_path, "--stampede-url", server.url, test_one=test)
    assert (run.code, run.outcomes) == (1, {"failed": 1}), run.out
    assert "ZeroDivisionError" in run.out
    assert server.samples()["chat_connections"] == 0


def test_an_exception_of_a_callback_fails_the_test(server: RunningServer, tmp_path: Path) -> None:
    test = """
def test_callback(load_generator):
    ann, bob = load_generator.join("room", users=2)
    bob.on("chatMessage", lambda message: 1 / 0)
    ann.say()
    assert load_generator.drain(timeout=60)
"""
    run = run_pytest(tmp_path, "--stampede-url", server.url, test_one=test)
    assert (run.code, run.outcomes) == (1, {"failed": 1}), run.out
    assert "ZeroDivisionError" in run.out


def test_the_example_of_the_documentation_runs_as_written(server: RunningServer, tmp_path: Path) -> None:
    conftest = f"import pytest\n@pytest.fixture\ndef server_url():\n    return {server.url!r}\n"
    run = run_pytest(tmp_path, conftest=conftest, test_one=EXAMPLE.replace("0.250", "60"))  # machines of tests are slow
    assert (run.code, run.outcomes) == (0, {"passed": 1}), run.out


# --- the mark ---


def test_a_test_that_meets_its_thresholds_passes(server: RunningServer, tmp_path: Path) -> None:
    run = run_pytest(tmp_path, "--stampede-url", server.url, test_one=marked("deliver_p99<60s", "loss<0.1% errors<1%"))
    assert (run.code, run.outcomes) == (0, {"passed": 1}), run.out


def test_a_missed_threshold_fails_the_test_with_the_figures(tmp_path: Path) -> None:
    with faulty_server(drop=10, delay=0.05) as faulty:
        test = marked("loss<1%", "deliver_p50<1ms", "duplicates<1%", messages=101)
        run = run_pytest(tmp_path, "--stampede-url", faulty.url, test_one=test)
    assert (run.code, run.outcomes) == (1, {"failed": 1}), run.out
    assert "2 of 3 thresholds not met" in run.out
    assert "FAILED in 1 of 1 windows: worst 9.9 %" in run.out
    assert "Ledger(expected=101, received=91, lost=10, duplicated=0, reordered=0)" in run.out
    assert "Traceback" not in run.out


def test_an_unmeasured_threshold_fails_the_test(server: RunningServer, tmp_path: Path) -> None:
    run = run_pytest(tmp_path, "--stampede-url", server.url, test_one=marked("loss<1%", messages=0))
    assert (run.code, run.outcomes) == (1, {"failed": 1}), run.out
    assert "unmeasured: no samples" in run.out


def test_thresholds_are_not_checked_after_a_failed_body(server: RunningServer, tmp_path: Path) -> None:
    test = marked("loss<1%", messages=0) + "    raise ZeroDivisionError\n"
    run = run_pytest(tmp_path, "--stampede-url", server.url, test_one=test)
    assert (run.code, run.outcomes) == (1, {"failed": 1}), run.out
    assert "unmeasured" not in run.out


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (marked("delivr_p99<1ms"), "unknown figure 'delivr_p99' in a threshold; did you mean deliver_p99?"),
        (marked("loss<1%").replace("load_generator):", "tmp_path):"), "must use the fixture load_generator"),
        (marked("loss<1%").replace("thresholds=", ""), "give thresholds=[...]"),
    ],
)
def test_a_wrong_mark_is_an_error_of_one_line(tmp_path: Path, test: str, text: str) -> None:
    run = run_pytest(tmp_path, "--strict-markers", "--stampede-url", "ws://127.0.0.1:1", test_one=test)
    assert (run.code, run.outcomes) == (1, {"error": 1}), run.out
    assert text in run.out


def test_other_arguments_of_the_mark_are_options_of_the_generator(tmp_path: Path) -> None:
    test = """
import pytest

@pytest.mark.stampede(reconnect=False, message_bytes=80)
def test_closed_by_the_server(load_generator):
    texts = []
    ann, bob = load_generator.join("room", users=2)
    bob.on("chatMessage", lambda message: texts.append(message["text"]))
    ann.say()
    assert load_generator.drain(timeout=60)
    assert [len(text) for text in texts] == [80]
    for _ in range(49):
        ann.say()
    assert load_generator.wait_until(lambda: not ann.is_connected and not bob.is_connected, timeout=60)
"""
    with faulty_server(restart=[0]) as faulty:
        run = run_pytest(tmp_path, "--stampede-url", faulty.url, test_one=test)
    assert (run.code, run.outcomes) == (0, {"passed": 1}), run.out


# --- the health of the generator ---

BLOCKED = """
import time
import pytest

{mark}
def test_blocked(load_generator):
    ann, bob = load_generator.join("room", users=2)
    bob.on("chatMessage", lambda message: time.sleep(0.5))
    for _ in range(4):
        ann.say()
        load_generator.drain(timeout=60)
"""


def test_a_generator_that_was_the_limit_is_a_warning_and_fails_a_marked_test(
    server: RunningServer, tmp_path: Path
) -> None:
    mark = "@pytest.mark.stampede(thresholds=['deliver_p99<60s'])"
    run = run_pytest(
        tmp_path,
        "--stampede-url",
        server.url,
        tolerant=False,
        test_one=BLOCKED.format(mark=""),
        test_two=BLOCKED.format(mark=mark),
    )
    assert (run.code, run.outcomes["passed"], run.outcomes["failed"]) == (1, 1, 1), run.out
    assert "LoadGeneratorWarning: The load generator was the limit: loop lag: p99" in run.out
    assert "invalid, the load generator was the limit: results are not usable" in run.out


# --- beside other plugins ---


def test_nothing_of_gevent_or_locust_is_imported_before_the_fixture_is_used(tmp_path: Path) -> None:
    test = """
import sys

def test_imports():
    assert not {"gevent", "locust", "stampede.generator", "stampede.client"} & set(sys.modules)
"""
    run = run_pytest(tmp_path, test_one=test)
    assert (run.code, run.outcomes) == (0, {"passed": 1}), run.out


def test_it_works_beside_the_plugin_of_locust_in_either_order(server: RunningServer, tmp_path: Path) -> None:
    """The fixtures of Locust's plugin patch the process."""
    http = """
def test_http(fastsession):
    assert fastsession.get("/health").status_code == 200
"""
    patched = "from gevent import monkey\ndef test_patched():\n    assert monkey.is_module_patched('socket')"
    run = run_pytest(
        tmp_path,
        *("--stampede-url", server.url, "--host", server.http),
        test_1=HELLO,
        test_2=http,
        test_3=HELLO,
        test_4=patched,
    )
    assert (run.code, run.outcomes.get("passed"), run.outcomes.get("failed")) == (0, 4, None), run.out


def test_it_has_no_option_host_of_its_own(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, "-p", "no:locust", "--host", "x", test_one="")
    assert run.code == 4
    assert "unrecognized arguments: --host" in run.out


def test_all_options_begin_with_the_name_of_the_library(tmp_path: Path) -> None:
    shown = run_pytest(tmp_path, "--help").out
    group = shown.partition("chat servers (stampede):\n")[2].partition("\n\n")[0]
    options = [line.split()[0].partition("=")[0] for line in group.splitlines() if line.startswith("  --")]
    assert options == ["--stampede-url", "--stampede-token", "--stampede-ca-file", "--stampede-insecure"]
