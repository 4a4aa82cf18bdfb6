"""Wrong settings for a real server end in one line that names the failed step and what came instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from stampede.__main__ import main
from tests.dialects.programs import FILES

if TYPE_CHECKING:
    from tests.dialects.fixtures import StartReal

SOCKETIO = f"{FILES}/socketio-acknowledged.toml"
SIGNALR = f"{FILES}/signalr-acknowledged.toml"
NO_ANSWER = "no answer within 5 s: expected"
NOT_FOUND = (
    "message: not delivered to user 2 within 5 s: the text arrived, but the dialect does not find it; "
    "the last message of the server was "
)


@pytest.mark.parametrize(
    ("name", "flags", "dialect", "line"),
    [
        ("socket.io", "--token other", SOCKETIO, "open: the server refused: error: invalid token; "),
        ("python-socketio", "--token other", SOCKETIO, "open: the server refused: error: invalid token; "),
        ("socket.io", "--refuse-room red", SOCKETIO, "join: the server refused: error: forbidden; "),
        ("python-socketio", "--refuse-room red", SOCKETIO, "join: the server refused: error: forbidden; "),
        ("socket.io", "--never-acknowledge", SOCKETIO, "join: no confirmation within 5 s; the server sent nothing"),
        ("socket.io", "--join-event enter", SOCKETIO, "join: no confirmation within 5 s; the server sent nothing"),
        ("socket.io", "--say-event say", SOCKETIO, "message: not delivered to user 2 within 5 s; the server sent"),
        ("socket.io", "--receive-event said", SOCKETIO, f'{NOT_FOUND}\'42\\["said"'),
        ("signalr", "--token other", SIGNALR, "connect: cannot connect to .*/chat.*: HTTP 401"),
        ("signalr", "--refuse-room red", SIGNALR, "join: the server refused: error: forbidden; "),
        ("signalr", "--never-acknowledge", SIGNALR, "join: no confirmation within 5 s; the server sent nothing"),
        ("signalr", "--join-target Enter", SIGNALR, "join: the server refused: error: Unknown hub method 'AddToGroup'"),
        (
            "signalr",
            "--say-target Say",
            SIGNALR,
            "message: the server refused: error: Unknown hub method 'SendMessage'",
        ),
        ("signalr", "--receive-target Said", SIGNALR, f'{NOT_FOUND}.*"Said"'),
        ("fastapi", "", f"{SOCKETIO} --path /ws/1", f"open: {NO_ANSWER} the open packet of Engine.IO"),
        ("signalr", "", f"{SOCKETIO} --path /chat", f"open: {NO_ANSWER} the open packet of Engine.IO"),
        ("python-socketio", "", SIGNALR, "connect: cannot connect to .*/chat.*: HTTP 403 Forbidden"),
        ("socket.io", "", f"{SIGNALR} --path /socket.io/?EIO=4&transport=websocket", "open: the server closed"),
        ("graphql-ws", "", f"{SIGNALR} --path /graphql", "open: the server closed the connection: 4406 Subprotocol"),
    ],
)
def test_the_step_that_fails_is_named(
    name: str, flags: str, dialect: str, line: str, *, start_real: StartReal, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start_real(name, *flags.split())
    capsys.readouterr()  # the first start of a server may say that it is installed
    timeout = "5" if "within 5 s" in line else "60"
    common = ["--host", server.url, "--room", "red", "--token", "secret", "--timeout", timeout]
    assert main(["check", *common, "--dialect", *dialect.split()]) == 1
    error = capsys.readouterr().err
    assert re.match(line, error), error
    assert error.count("\n") == 1
