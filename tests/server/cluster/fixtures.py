"""A real NATS server, and server processes that share it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sysconfig
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import wait_until
from tests.ports import free_port
from tests.processes import RunningServer, start_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SECONDS = 60
BINARY = Path(sysconfig.get_path("scripts")) / "nats-server"


class Nats:
    """A NATS server on one port that tests can kill, restart and suspend."""

    def __init__(self, *arguments: str, address: str = "127.0.0.1") -> None:
        self._arguments = arguments
        self._address = address
        self.port = free_port()
        self.url = f"nats://{address}:{self.port}"
        self.start()

    def start(self) -> None:
        command = [str(BINARY), "--addr", self._address, "--port", str(self.port), *self._arguments]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "NATS to answer")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self._address, self.port)) == 0


def wait_for_each(servers: Iterable[RunningServer], condition: Callable[[RunningServer], bool], what: str) -> None:
    """Wait until each server fulfils a condition."""
    for server in servers:
        wait_until(partial(condition, server), what)


async def until(condition: Callable[[], bool]) -> None:
    """Wait in an event loop until a condition holds."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


@pytest.fixture
def nats() -> Iterator[Nats]:
    running = Nats()
    yield running
    running.kill()


@pytest.fixture
def two(nats: Nats) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two server processes that have discovered each other.

    They drop no presence for a client that a busy machine lets read slowly.
    """
    options = ("--drain-seconds", "0", "--buffer-soft-limit", str(1 << 20))
    servers = [start_server("--nats", nats.url, *options) for _ in range(2)]
    wait_for_each(servers, lambda server: server.samples()["chat_bus_nodes"] == 2, "the nodes to discover each other")
    yield servers[0], servers[1]
    for server in servers:
        server.process.send_signal(signal.SIGCONT)
        server.stop(expects_errors=True)
