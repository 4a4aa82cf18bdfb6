"""Starts the service of `rest_service.py`; loaded by tests/conftest.py."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class RestService:
    """A running service."""

    port: int
    process: subprocess.Popen[str]

    @property
    def host(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def request(self, path: str, *, post: bool = False) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=b"" if post else None)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return bytes(answer.read())

    def counts(self) -> dict[str, int]:
        return {str(name): int(count) for name, count in json.loads(self.request("/counts")).items()}

    def answers(self) -> bool:
        assert self.process.poll() is None
        try:
            self.request("/counts")
        except urllib.error.URLError:
            return False
        return True


@pytest.fixture
def service() -> Iterator[Callable[..., RestService]]:
    """Start services with flags; each must end without a traceback."""
    running: list[RestService] = []

    def start(*flags: str) -> RestService:
        port = free_port()
        command = [sys.executable, "-m", "tests.promises.rest_service", str(port), *flags]
        running.append(RestService(port, subprocess.Popen(command, stderr=subprocess.PIPE, text=True)))
        wait_until(running[-1].answers, "the service to start")
        return running[-1]

    yield start
    for one in running:
        one.process.terminate()
        _, log = one.process.communicate(timeout=60)
        assert "Traceback" not in log, log
