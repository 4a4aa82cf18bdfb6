"""`python -m stampede check` with the built-in dialects against the real servers."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from stampede.__main__ import main
from tests.dialects.programs import PROGRAMS
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.dialects.fixtures import StartReal
    from tests.dialects.real_server import RealServer
    from tests.promises.rest_fixtures import RestService

DIALECTS = {
    "socket.io": "socketio",
    "python-socketio": "socketio",
    "signalr": "signalr",
    "signalr-text": "signalr",
    "action-cable": "actioncable",
}


def check(url: str, dialect: str, capsys: pytest.CaptureFixture[str], *, echoes: bool) -> None:
    """Check a server; the exchange must pass, and show the echo."""
    capsys.readouterr()  # the first start of a server may say that it is installed
    assert main(["check", "--dialect", dialect, "--host", url, "--timeout", "60"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "PROBLEM" not in out
    echo = "the sender receives it, too" if echoes else "the sender does not receive it"
    assert re.search(rf"^own message +{echo} ", out, re.MULTILINE), out
    assert re.search(r"^text +arrives unchanged$", out, re.MULTILINE), out


@pytest.mark.parametrize("name", DIALECTS)
def test_the_exchange_passes(name: str, start_real: StartReal, capsys: pytest.CaptureFixture[str]) -> None:
    server = start_real(name)
    check(server.url, DIALECTS[name], capsys, echoes=PROGRAMS[name].echoes)
    server.wait_for_counts(clients=0, members=0)


def test_the_exchange_passes_with_a_broker(rabbitmq: RealServer, capsys: pytest.CaptureFixture[str]) -> None:
    check(rabbitmq.url, "stomp", capsys, echoes=True)
    rabbitmq.wait_for_counts(clients=0, members=0)


def test_the_requests_of_a_file_are_made(service: Callable[..., RestService], tmp_path: Path) -> None:
    running, file = service(), tmp_path / "accounts.csv"
    file.write_text("user,password\nann,secret of ann\nbob,secret of bob\n")
    done = check_service(running, "--credentials", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "secret of" not in done.stdout
    assert "ok      message  user 2  delivered to user 1 in " in done.stdout
    truth = running.counts()
    assert (truth["logins"], truth["messages"], truth["delivered"], truth["sockets"]) == (2, 2, 2, 0)


def test_a_failed_request_is_named(service: Callable[..., RestService], tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text("user,password\nann,\n")
    running = service()
    running.process.kill()
    running.process.wait()
    done = check_service(running, "--credentials", str(file))
    assert done.returncode == 1
    assert done.stderr == "login: login: connection refused\n"


def check_service(service: RestService, *flags: str) -> subprocess.CompletedProcess[str]:
    """Check a service in a process of its own, which imports Locust."""
    command = [sys.executable, "-m", "stampede", "check", "--dialect", "docs/dialects/rest-chat.toml"]
    host = service.host.removesuffix("/ws")
    return subprocess.run([*command, "--host", host, *flags], cwd=ROOT, capture_output=True, text=True, check=False)
