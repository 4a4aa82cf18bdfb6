"""Whole runs with `--profile` name a planted hot function, with its share of the CPU time."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.node_packages import install
from benchmarks.processes import LOOPBACK, BenchmarkError, running
from tests.capacity.run_options import TOLERANT, USERS
from tests.metrics.fixtures import skip_or_fail
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from capacity.record.profile import HotFunction, ProfiledLevel
    from capacity.record.report import RunReport
    from tests.capacity.fixtures import Run
    from tests.dialects.fixtures import StartReal

SERVERS = ROOT / "tests" / "capacity" / "profile" / "servers"
TOLERANCE = 0.1
MOST_RUNS = 3  # a busy machine makes a run invalid
WORK_S = 0.1
# Long work for each of few messages: on a busy machine, a server that has just woken waits for its core, which the
# profiler cannot tell from work.
LOAD = ("--bounded", "4", *TOLERANT, "--message-rate", "1", "--profile")


def profiled_run(capacity: Callable[..., Run], *flags: str) -> Run:
    """Run until a run is valid."""
    for _ in range(MOST_RUNS):
        run = capacity(*LOAD, *flags)
        if run.wait() in (0, 99):
            return run
    return pytest.fail(run.errors or str(run.report.steps))


def profile_of(report: RunReport) -> tuple[list[HotFunction], ProfiledLevel]:
    """Return the functions of the level that was measured, and how it was profiled."""
    profile = report.profile
    assert profile is not None, report.notes
    (functions,) = [found for found in (profile.passing, profile.failing) if found is not None]
    (level,) = [found for found in (profile.passing_level, profile.failing_level) if found is not None]
    assert [one.share for one in functions] == sorted((one.share for one in functions), reverse=True)
    return functions, level


def check_account(functions: list[HotFunction], account: Path, record_property: Callable[[str, object], None]) -> None:
    """Check the share of the first function against the CPU time that the server itself measured."""
    hot, total = map(float, account.read_text().split())
    record_property(
        "proved", f"{functions[0].function}: {functions[0].share:.2f} in the profile, {hot / total:.2f} true"
    )
    assert functions[0].share == pytest.approx(hot / total, abs=TOLERANCE)


def test_the_work_of_the_bundled_server_is_named_with_its_share(
    capacity: Callable[..., Run], record_property: Callable[[str, object], None]
) -> None:
    run = profiled_run(capacity, "--work-per-message", str(WORK_S), "--window", "3")
    functions, level = profile_of(run.report)
    step = run.report.steps[-1]
    assert step.sends is not None
    assert step.server_cpu
    assert step.window_s is not None
    true = min(1.0, WORK_S * step.sends / step.window_s / step.server_cpu)
    burn = functions[0]
    record_property("proved", f"{burn.function}: {burn.share:.2f} in the profile, {true:.2f} true")
    assert (burn.function, burn.file) == ("burn", "server/websocket/endpoints.py")
    assert burn.share == pytest.approx(true, abs=TOLERANCE)
    assert (level.users, level.processes) == (4, 1)
    assert level.samples > 0
    verdict = "passing" if step.verdict == "pass" else "failing"
    assert (run.folder / f"profile-{verdict}.svg").read_text().startswith("<svg")


def test_a_hot_function_of_another_python_server_is_named_with_its_share(
    capacity: Callable[..., Run], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    account = tmp_path / "account"
    with running([sys.executable, "-m", "tests.capacity.profile.servers.planted", str(account), *LOOPBACK]) as server:
        run = profiled_run(capacity, "--host", server.url)
        assert server.process.poll() is None
    functions, _ = profile_of(run.report)
    assert (functions[0].function, functions[0].file) == (
        "planted_hot_function",
        "tests/capacity/profile/servers/planted.py",
    )
    check_account(functions, account, record_property)


def test_a_hot_function_of_a_node_server_is_named_with_its_share(
    capacity: Callable[..., Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    account = tmp_path / "account"
    monkeypatch.setenv("PLANTED_FILE", str(account))
    try:
        program = install()
    except BenchmarkError as problem:
        skip_or_fail(str(problem))
    planted = SERVERS / "planted.mjs"
    with running(["node", "--inspect=127.0.0.1:0", "--import", str(planted), str(program), *LOOPBACK]) as server:
        run = profiled_run(capacity, "--host", server.url)
    functions, _ = profile_of(run.report)
    assert (functions[0].function, functions[0].file) == (
        "plantedHotFunction",
        "tests/capacity/profile/servers/planted.mjs",
    )
    check_account(functions, account, record_property)


def test_a_server_that_cannot_be_profiled_is_answered_with_a_note(
    capacity: Callable[..., Run], start_real: StartReal
) -> None:
    server = start_real("mosquitto")
    flags = ("--host", server.url, "--dialect", "mqtt", "--bounded", USERS, *TOLERANT, "--profile")
    for _ in range(MOST_RUNS):
        run = capacity(*flags)
        if run.wait() == 0:
            break
    assert run.wait() == 0, run.errors
    (note,) = [note for note in run.report.notes if note.startswith("no profile of 2 users: ")]
    assert "mosquitto" in note
    assert note.endswith("runs neither Python nor Node.js; a system profiler such as perf can profile it")
    assert run.report.profile is not None
    assert (run.report.profile.passing, run.report.profile.failing) == (None, None)
    assert "holds 2 chatting users" in run.report.answer.sentence


def test_ctrl_c_during_a_profile_keeps_the_whole_answer(capacity: Callable[..., Run]) -> None:
    run = capacity("--steps", ",".join([USERS] * MOST_RUNS), *TOLERANT, "--profile")
    run.await_line("profiling the server at 2 users")
    os.kill(run.process.pid, signal.SIGINT)
    assert run.wait() == 130
    assert run.error == "capacity: interrupted by Ctrl-C"
    report = run.report
    assert (report.status, report.status_reason) == ("partial", "interrupted by Ctrl-C")
    assert report.answer.ending != "cut short"
    assert report.profile is not None
    assert report.profile.passing is None
