"""The server under test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from capacity.errors import UsageError
from capacity.processes.target import TargetServer
from tests.capacity.run_options import TOLERANT, USERS
from tests.stampede.locust.test_preflight import answering, closing, silent_until_a_message, socket_io
from tests.stampede.name_resolution import resolve_everywhere

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from websockets.sync.server import ServerConnection

    from tests.capacity.fixtures import Run
    from tests.processes import RunningServer

ORIGIN = "https://chat.example.org"


def test_the_next_address_is_used_if_the_first_one_refuses(
    capacity: Callable[..., Run], server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for `localhost` with `::1` first, and a server that listens on IPv4."""
    resolve_everywhere(monkeypatch, tmp_path, "localhost", "::1", "127.0.0.1")
    run = capacity("--host", server.url.replace("127.0.0.1", "localhost"), "--bounded", USERS, *TOLERANT)
    assert run.wait() == 0, run.errors
    assert run.report.steps[-1].verdict == "pass"
    first, second = run.report.notes
    assert first == "1 of the server's 2 addresses were used: 127.0.0.1 (2 connections)"
    assert second.startswith("address ::1: connection refused, ")


@pytest.mark.parametrize(
    ("conversation", "words"),
    [
        (socket_io, '/ sent \'0{"sid":'),
        (silent_until_a_message, "/ sent no greeting within 5 s; is this a Stampede server?"),
        (closing, "/ closed the connection before any greeting (received 1013 (try again later) full"),
    ],
)
def test_a_server_without_the_greeting_is_refused_with_the_difference(
    conversation: Callable[[ServerConnection], None], words: str
) -> None:
    with answering(conversation) as url, pytest.raises(UsageError, match=re.escape(words)):
        TargetServer.running(f"{url}/")


def test_headers_reach_a_server_that_checks_them_and_stay_out_of_reports(
    capacity: Callable[..., Run], start: Callable[..., RunningServer]
) -> None:
    server = start("--allowed-origin", ORIGIN, "--require-origin", "yes")
    flags = ("--host", server.url, "--bounded", USERS, *TOLERANT)
    refused = capacity(*flags)
    assert refused.wait() == 2
    assert "refused the WebSocket" in refused.error
    run = capacity(*flags, "--origin", ORIGIN, "--header", "X-Key: geheim", "--header=Cookie: a=geheim")
    assert run.wait() == 0, run.errors
    assert "geheim" not in (run.folder / "report.json").read_text() + (run.folder / "report.html").read_text()
    assert run.report.settings["headers"] == "X-Key, Cookie"
    assert f"--origin {ORIGIN}" in run.report.command
