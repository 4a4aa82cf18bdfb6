"""Runs that observe the processes of a server on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from capacity.processes.process import free_port
from tests.capacity.run_options import TOLERANT, USERS, run_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capacity.fixtures import Run
    from tests.processes import RunningServer


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--server-pid", "999999999"), "--server-pid 999999999: no such process on this machine"),
        (("--server-pid", "auto"), "--server-pid auto: no process that this user may see listens at ws://127.0.0.1:"),
        (("--server-pid", "nginx"), "argument --server-pid: 'nginx' is neither a process id nor auto"),
        (("--server-pid", "0"), "argument --server-pid: '0' is neither a process id nor auto"),
    ],
)
def test_a_server_that_cannot_be_observed_as_asked_is_one_line_and_exit_code_2(
    capacity: Callable[..., Run], flags: tuple[str, ...], words: str
) -> None:
    run = capacity("--host", f"ws://127.0.0.1:{free_port()}", "--bounded", USERS, *flags)
    assert run.wait() == 2
    assert words in run.error


def test_the_bundled_server_needs_no_process_id(capacity: Callable[..., Run]) -> None:
    run = capacity("--server-pid", "auto")
    assert run.wait() == 2
    assert "--server-pid is for a server at --host" in run.error


@pytest.mark.parametrize("by", ["auto", "pid", "default"])
def test_a_running_server_is_observed_by_the_operating_system(
    capacity: Callable[..., Run], server: RunningServer, by: str
) -> None:
    flags = {"auto": ("--server-pid", "auto"), "pid": ("--server-pid", str(server.process.pid)), "default": ()}[by]
    run = run_until(capacity, 0, "--host", server.url, "--bounded", USERS, *TOLERANT, *flags)
    (step,) = run.report.steps
    assert (step.server_observed_processes, step.server_processes) == (1, 1)
    assert step.server_busiest_thread is not None
    assert step.server_cpu is not None
    assert step.server_busiest_thread <= step.server_cpu + 0.1  # CPU time has a resolution of 10 ms
    assert 0 < (step.server_cores_allowed or 0) <= len(os.sched_getaffinity(0))
    assert step.server_rss_bytes
    assert step.server_switches_per_s
    assert step.server_listen_overflows is not None
