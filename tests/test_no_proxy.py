"""Requests to servers on this machine never use the proxy of the environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.http_client import urlopen
from capacity import http_client as web
from deploy import stack
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import RunningServer

PROXIES = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"), "http://127.0.0.1:1")
OUTSIDE_PYTEST = ("server", "metrics", "loadtest", "capacity", "grafana", "benchmarks")
THROUGH_PROXIES = re.compile(
    r"urllib\.request\.urlopen|from urllib\.request import .*urlopen|import requests|import httpx"
)
# Each client of websockets uses a proxy from the environment unless `proxy=None` is given.
CONNECTS = re.compile(r"from websockets\.(sync|asyncio)\.client import .*\bconnect\b")


@pytest.fixture
def behind_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set proxy variables to an address without a listener."""
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("behind_proxy")
def test_the_stack_and_the_capacity_run_use_no_proxy(server: RunningServer) -> None:
    url = f"{server.http}/health"
    assert stack._answers(url) is True
    assert web.fetch(url).strip() == b"OK"
    with urlopen(url) as answer:
        assert answer.status == 200


def programs() -> list[Path]:
    """Return the files that run outside of pytest, where no setting excludes this machine from proxies."""
    of_tests = [path for path in (ROOT / "tests").rglob("*.py") if "\nif __name__ ==" in path.read_text()]
    return [path for package in OUTSIDE_PYTEST for path in (ROOT / package).rglob("*.py")] + of_tests


def test_no_program_can_use_a_proxy() -> None:
    for path in programs():
        text = path.read_text()
        assert not THROUGH_PROXIES.search(text), path
        if CONNECTS.search(text):
            assert text.count("connect(") == text.count("proxy=None"), path


def test_tests_use_no_proxy(server: RunningServer) -> None:
    """Load the settings of the tests with a proxy in the environment, then send requests as tests do."""
    code = (
        "import sys, tests.conftest, urllib.request; from tests.clients import ChatClient\n"
        "urllib.request.urlopen(sys.argv[1] + '/health').close()\n"
        "with ChatClient(sys.argv[2]) as client: client.expect('connected')"
    )
    clean = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    command = [sys.executable, "-c", code, server.http, server.url]
    done = subprocess.run(command, cwd=ROOT, env=clean | PROXIES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
