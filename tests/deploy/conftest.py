"""A real HAProxy with the committed configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import pytest

from tests.metrics.fixtures import skip_or_fail, wait_until
from tests.metrics.pages import series
from tests.ports import free_ports
from tests.promises.server_process import ServerProcess, launch
from tests.server.cluster.fixtures import Nats, wait_for_each
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"
ENDS_WITHIN = 30


def haproxy() -> str:
    """Return the path of the program, or skip the test."""
    path = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if path is None:
        skip_or_fail("haproxy not found: install it (Debian: apt-get install --no-install-recommends haproxy)")
    return path


class Balancer:
    """HAProxy in front of servers.

    Attributes:
        url: URL for clients; `http` is the same for pages.
        status: base URL of its own pages.
        process: its master process, if this process started it.
    """

    def __init__(self, listen: str, status: str, process: subprocess.Popen[bytes] | None = None) -> None:
        self.process = process
        self.url = f"ws://{listen}"
        self.http = f"http://{listen}"
        self.status = f"http://{status}"

    def is_up(self, server: int) -> bool:
        """Return whether new clients are sent to a server; the first is number 1."""
        name = f'haproxy_server_status{{proxy="healthy",server="server{server}",state="UP"}}'
        return series(fetch(f"{self.status}/metrics"))[name] == 1


@contextmanager
def balancer(
    *servers: str,
    flags: tuple[str, ...] = (),
    configuration: Path = CONFIGURATION,
    log: int | IO[str] = subprocess.DEVNULL,
    **more: str,
) -> Iterator[Balancer]:
    """Run HAProxy in front of servers (`host:port`) with additional flags and environment variables."""
    listen, status = (f"127.0.0.1:{port}" for port in free_ports(2))
    environment = {"BALANCER_LISTEN": listen, "BALANCER_STATUS": status, **more}
    environment |= {f"BALANCER_SERVER_{number}": address for number, address in enumerate(servers, 1)}
    with subprocess.Popen(
        [haproxy(), "-W", *flags, "-f", str(configuration)], env=os.environ | environment, stdout=log
    ) as process:
        running = Balancer(listen, status, process)
        try:
            wait_until(lambda: process.poll() is not None or _answers(running.status), "HAProxy to answer")
            assert process.poll() is None
            yield running
        finally:
            process.terminate()
            process.wait(ENDS_WITHIN)


def fetch(url: str) -> bytes:
    """Return the body of a page."""
    with urllib.request.urlopen(url, timeout=ENDS_WITHIN) as answer:  # noqa: S310 - loopback
        return bytes(answer.read())


def _answers(url: str) -> bool:
    try:
        fetch(f"{url}/metrics")
    except OSError:
        return False
    return True


@pytest.fixture
def nats() -> Iterator[Nats]:
    running = Nats()
    yield running
    running.kill()


@pytest.fixture
def servers(nats: Nats) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Two servers that share NATS and trust the balancer's client addresses."""
    flags = ["--nats", nats.url, "--trusted-proxy", "127.0.0.1", "--drain-seconds", "2"]
    with launch(*flags) as one, launch(*flags) as two:
        wait_for_each((one, two), lambda server: server.samples()["chat_bus_nodes"] == 2, "the servers to meet")
        yield one, two
