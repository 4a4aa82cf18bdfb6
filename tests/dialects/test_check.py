"""`python -m stampede check` with the built-in dialects against the real servers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from stampede.__main__ import main
from tests.dialects.programs import PROGRAMS

if TYPE_CHECKING:
    from tests.dialects.fixtures import StartReal
    from tests.dialects.real_server import RealServer

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
