from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil

from benchmarks._driver import Herd, Load
from benchmarks.fanout import pinned, run_rounds, waited_seconds
from benchmarks.peers import stampede_command
from tests.metrics.fixtures import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from benchmarks.peers import Running
    from tests.processes import RunningServer

LOAD = Load(clients=12, rooms=3, rate=400)
WAITED = 0.25
"""Seconds, in place of those that a server was kept waiting in a window."""


def deliveries_are_counted(url: str) -> None:
    """Below saturation each message sent is delivered to the three other members; some are under way at the end."""
    marks: list[None] = []
    with Herd(url, LOAD) as herd:
        tally = herd.run(0.0, 2.0, lambda: marks.append(None))
    assert len(marks) == 2
    assert tally.uniform
    assert tally.sent == tally.offered > 0
    assert 0 < tally.deliveries <= 3 * tally.sent
    assert tally.driver_share > 0
    assert tally.latencies_ns[0] > 0
    low, high = tally.latency_ms(0.5), tally.latency_ms(0.99)
    assert low is not None
    assert high is not None
    assert low <= high


def test_the_driver_counts_what_our_server_delivers(server: RunningServer) -> None:
    deliveries_are_counted(server.url)


def test_the_driver_counts_what_the_plain_peer_delivers(plain_peer: Running) -> None:
    deliveries_are_counted(plain_peer.url)


def test_a_batch_is_as_many_messages_as_it_says(server: RunningServer) -> None:
    with Herd(server.url, replace(LOAD, batch=4)) as herd:
        tally = herd.run(0.0, 2.0, lambda: None)
    assert tally.uniform
    assert tally.sent == tally.offered > 0
    assert tally.offered % 4 == 0
    assert 0 < tally.deliveries <= 3 * tally.sent


def test_pings_come_back_to_who_sent_them(server: RunningServer) -> None:
    with Herd(server.url, replace(LOAD, audit=True, pings=True)) as herd:
        tally = herd.run(0.0, 2.0, lambda: None)
    assert tally.uniform
    assert 0 < tally.deliveries <= tally.sent
    assert len(tally.latencies_ns) == tally.deliveries


def test_servers_take_turns_and_each_round_says_what_it_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.fanout.WARM_UP_SECONDS", 0.1)
    waited = itertools.count(0.0, WAITED)  # by now, at the beginning and at the end of each window
    monkeypatch.setattr("benchmarks.fanout.waited_seconds", lambda _process: next(waited))
    seen: list[str] = []
    command = stampede_command("--upload-dir", str(tmp_path))
    rounds = run_rounds({"a": command, "b": command}, LOAD, 1.0, 2, lambda done: seen.append(done.server))
    assert seen == [done.server for done in rounds] == ["a", "b"] * 2
    for done in rounds:
        assert done.problem is None
        assert done.offered_per_s > 0
        assert 0 < done.driver_cpu < 1.1
        assert 0 < done.server_kept_waiting <= WAITED  # a share of the window, which takes a second at least
        assert done.deliveries_per_s > 0


def test_the_time_is_told_in_which_a_process_could_have_run_and_had_no_cpu() -> None:
    busy = [sys.executable, "-c", "while True: pass"]
    cpu = max(os.sched_getaffinity(0))
    with pinned(cpu):
        processes = [subprocess.Popen(busy) for _ in range(2)]
    try:
        seen = [waited_seconds(psutil.Process(process.pid)) for process in processes]
        wait_until(
            lambda: all(
                waited_seconds(psutil.Process(process.pid)) > before + 0.2
                for process, before in zip(processes, seen, strict=True)
            ),
            "both to have waited for the one CPU",
        )
    finally:
        for process in processes:
            process.kill()
            process.wait()
