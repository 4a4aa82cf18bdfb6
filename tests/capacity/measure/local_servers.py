"""Servers of several processes and threads on this machine, whose use of resources is known."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LISTEN = """
import os, socket, sys, time
place = socket.create_server((sys.argv[1], int(sys.argv[2])))
for _ in range(int(sys.argv[3])):
    if os.fork() == 0:
        time.sleep(600)
print(place.getsockname()[1], flush=True)
time.sleep(600)
"""


class Listening:
    """A running server: its process and its port."""

    def __init__(self, process: psutil.Popen) -> None:
        self.process = process
        self.port = int(process.stdout.readline())

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pids(self) -> set[int]:
        return {self.process.pid, *(one.pid for one in self.process.children(recursive=True))}


@pytest.fixture
def listen_with() -> Iterator[Callable[..., Listening]]:
    """Start a command that listens at the loopback and prints its port."""
    started: list[psutil.Popen] = []

    def start(*command: str) -> Listening:
        started.append(psutil.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return Listening(started[-1])

    yield start
    for process in started:
        if process.poll() is None:
            for one in [*process.children(recursive=True), process]:
                one.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def listen(listen_with: Callable[..., Listening]) -> Callable[..., Listening]:
    """Start a process that listens at an address, with children that share its socket."""

    def start(address: str = "127.0.0.1", port: int = 0, children: int = 0, program: str = LISTEN) -> Listening:
        return listen_with(sys.executable, "-c", program, address, str(port), str(children))

    return start
