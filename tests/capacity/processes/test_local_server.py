"""Cores are reserved for a server on the same machine, or the run notes that both sides compete."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from capacity.processes.cores import Cores, usable_cores
from capacity.processes.local_server import (
    LocalServer,
    are_competing,
    cores_beside,
    find_local_server,
    reserved_cores_note,
)
from capacity.processes.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.capacity.fixtures import Run
    from tests.processes import RunningServer

LISTEN = """
import os, socket, sys, time
place = socket.socket()
place.bind((sys.argv[1], 0))
place.listen()
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        time.sleep(600)
print(place.getsockname()[1], flush=True)
time.sleep(600)
"""


@pytest.fixture
def listen() -> Iterator[Callable[..., int]]:
    """Start a process that listens at an address, with children that share its socket; return the port."""
    started: list[psutil.Popen] = []

    def start(address: str, children: int = 0) -> int:
        process = psutil.Popen(
            [sys.executable, "-c", LISTEN, address, str(children)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return int(process.stdout.readline())

    yield start
    for process in started:
        for one in [*process.children(recursive=True), process]:
            one.kill()
        process.communicate()


def test_a_server_on_the_loopback_is_found_with_its_processes_and_cores(listen: Callable[..., int]) -> None:
    alone = find_local_server(f"ws://127.0.0.1:{listen('127.0.0.1')}/ws")
    assert alone == LocalServer(1, tuple(sorted(os.sched_getaffinity(0))))
    assert (find_local_server(f"ws://localhost:{listen('')}") or LocalServer(0)).processes == 1
    three = find_local_server(f"ws://127.0.0.1:{listen('127.0.0.1', 3)}")
    assert three is not None
    assert three.processes == 3


def test_a_server_at_an_address_of_this_machines_interfaces_is_found() -> None:
    """Also if its process is not visible, as for a container with a published port."""
    own = [one.address for found in psutil.net_if_addrs().values() for one in found if one.family.name == "AF_INET"]
    assert own
    for address in own:
        assert find_local_server(f"ws://{address}:{free_port()}") == LocalServer(1, ())


@pytest.mark.parametrize("url", ["ws://192.0.2.1:8080", "wss://[2001:db8::1]", "ws://no-such-name.invalid:1"])
def test_a_server_on_another_machine_is_not_local(url: str) -> None:
    assert find_local_server(url) is None


@pytest.mark.parametrize(
    ("usable", "server", "cores", "shared"),
    [
        ((0, 1, 2, 3), None, Cores((), (0, 1, 2, 3)), True),
        ((0, 1, 2, 3), LocalServer(1, (0, 1, 2, 3)), Cores((), (0, 1, 2)), False),
        ((0, 1, 2, 3), LocalServer(3, (0, 1, 2, 3)), Cores((), (0,)), False),
        ((0, 1, 2, 3), LocalServer(4, (0, 1, 2, 3)), Cores((), (0, 1, 2, 3)), True),
        ((0, 1, 2, 3), LocalServer(1, (1,)), Cores((1,), (0, 2, 3)), False),
        ((0, 1, 2, 3), LocalServer(1, ()), Cores((), (0, 1, 2)), False),
        ((0, 1), LocalServer(1, (4, 5)), Cores((4, 5), (0, 1)), False),
        ((2,), LocalServer(1, (2,)), Cores((), (2,)), True),
        ((2,), LocalServer(1, ()), Cores((), (2,)), True),
    ],
)
def test_a_local_server_keeps_its_cores_if_others_remain(
    usable: tuple[int, ...], server: LocalServer | None, cores: Cores, *, shared: bool
) -> None:
    assert cores_beside(usable, server) == cores
    assert are_competing(usable, cores) == shared


def test_the_reserved_cores_are_named() -> None:
    assert reserved_cores_note((0, 1, 2), Cores((), (0,))).endswith("core 1, 2 is reserved for it")
    assert reserved_cores_note((0, 1, 2), Cores((1,), (0, 2))).endswith("core 1 is reserved for it")


def test_a_run_reserves_a_core_for_a_local_server_or_notes_that_both_compete(
    capacity: Callable[..., Run], server: RunningServer
) -> None:
    run = capacity("--host", server.url, "--bounded", "2", "--window", "1", "--settle", "1", "--slo", "deliver_p99<60s")
    run.wait()
    report, usable = run.report, usable_cores()
    generator = report.environment.generator_cores or []
    if len(usable) > 1:
        assert len(generator) == len(usable) - 1
        assert report.environment.generator_processes == len(generator)
        assert report.notes == []
    else:
        assert "it competes with the load generator" in report.notes[0]
