from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.comparison.fanout import run_rounds
from benchmarks.load.driver import ChatLoad, ClientPool
from benchmarks.processes import pinned, stampede_command, waited_seconds
from tests.metrics.fixtures import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from benchmarks.processes import ServerProcess
    from tests.processes import RunningServer

LOAD = ChatLoad(clients=12, rooms=3, rate=400)
WAITED = 0.25
"""A simulated time in which a server waited for its CPU, in seconds."""


def deliveries_are_counted(url: str) -> None:
    """Below saturation each message is delivered to the three other members; some are in flight at the end."""
    marks: list[None] = []
    with ClientPool(url, LOAD) as pool:
        window = pool.run(0.0, 2.0, lambda: marks.append(None))
    assert len(marks) == 2
    assert window.uniform
    assert window.sent == window.offered > 0
    assert 0 < window.deliveries <= 3 * window.sent
    assert window.driver_share > 0
    assert window.latencies_ns[0] > 0
    low, high = window.latency_ms(0.5), window.latency_ms(0.99)
    assert low is not None
    assert high is not None
    assert low <= high


def test_the_driver_counts_the_deliveries_of_our_server(server: RunningServer) -> None:
    deliveries_are_counted(server.url)


def test_the_driver_counts_the_deliveries_of_the_plain_server(plain_peer: ServerProcess) -> None:
    deliveries_are_counted(plain_peer.url)


def test_a_batch_counts_as_its_number_of_messages(server: RunningServer) -> None:
    with ClientPool(server.url, replace(LOAD, batch=4)) as pool:
        window = pool.run(0.0, 2.0, lambda: None)
    assert window.uniform
    assert window.sent == window.offered > 0
    assert window.offered % 4 == 0
    assert 0 < window.deliveries <= 3 * window.sent


def test_pongs_return_to_the_sender_of_the_ping(server: RunningServer) -> None:
    with ClientPool(server.url, replace(LOAD, audit=True, pings=True)) as pool:
        window = pool.run(0.0, 2.0, lambda: None)
    assert window.uniform
    assert 0 < window.deliveries <= window.sent
    assert len(window.latencies_ns) == window.deliveries


def test_servers_take_turns_and_each_round_reports_its_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.comparison.fanout.WARM_UP_SECONDS", 0.1)
    waited = itertools.count(0.0, WAITED)  # read at the beginning and at the end of each window
    monkeypatch.setattr("benchmarks.comparison.fanout.waited_seconds", lambda _process: next(waited))
    seen: list[str] = []
    command = stampede_command("--upload-dir", str(tmp_path))
    rounds = run_rounds({"a": command, "b": command}, LOAD, 1.0, 2, lambda done: seen.append(done.server))
    assert seen == [done.server for done in rounds] == ["a", "b"] * 2
    for done in rounds:
        assert done.problem is None
        assert done.offered_per_s > 0
        assert 0 < done.driver_cpu < 1.1
        assert 0 < done.server_kept_waiting <= WAITED  # a fraction of a window of at least one second
        assert done.deliveries_per_s > 0


def test_the_time_in_which_a_runnable_process_had_no_cpu_is_measured() -> None:
    busy = [sys.executable, "-c", "while True: pass"]
    cpu = max(os.sched_getaffinity(0))
    with pinned(cpu):
        processes = [subprocess.Popen(busy) for _ in range(2)]
    try:
        seen = [waited_seconds(process.pid) for process in processes]
        wait_until(
            lambda: all(
                waited_seconds(process.pid) > before + 0.2 for process, before in zip(processes, seen, strict=True)
            ),
            "both to have waited for the one CPU",
        )
    finally:
        for process in processes:
            process.kill()
            process.wait()
