"""Locust runs with other dialects: the check before the run, and the echo that each process discovers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.stampede.check.acme import SECRET, AcmeServer, utf16

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stampede.fixtures import Locust

ACME = "tests.stampede.check.acme:"
LAST = r"the last message of the server was '.+'.*"

FAILURES: dict[str, tuple[AcmeServer, str, str]] = {
    "wrong credentials": (AcmeServer(token="another"), f"{ACME}AcmeDialect", f"open: .*bad token; {LAST}"),
    "room that needs permission": (
        AcmeServer(forbidden=("stampede-check",)),
        f"{ACME}AcmeDialect",
        f"join: the server refused: error: no permission; {LAST}",
    ),
    "wrong event name": (AcmeServer(), f"{ACME}WrongEventDialect", f"message: .*unknown op publish; {LAST}"),
    "a server that never confirms": (
        AcmeServer(silent=("join",)),
        f"{ACME}AcmeDialect",
        r"join: no confirmation within 10 s; the server sent nothing",
    ),
    "another encoding": (
        AcmeServer(write=utf16, members=2),
        f"{ACME}UnconfirmedDialect",
        f"message: not delivered to user 2 within 10 s: the server answers in UTF-16-LE; {LAST}",
    ),
    "wrong dialect": (AcmeServer(), "socketio", r"open: no answer within 10 s: expected .*; the server sent nothing"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_run_against_a_server_that_fails_the_check_does_not_start(locust: Callable[..., Locust], case: str) -> None:
    server, dialect, line = FAILURES[case]
    with server.running() as url:
        ended = locust("--headless", "--dialect", dialect, "--host", url, "ChattingUser", "-u", "2", "-t", "1s").wait()
    assert ended.code == 2
    (found,) = re.findall(
        r"^locust: error: the check of ws://\S+ with the dialect \w+ failed: (.*)$", ended.log, re.MULTILINE
    )
    assert re.fullmatch(line, found), found


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_each_process_discovers_the_echo(locust: Callable[..., Locust], processes: tuple[str, ...]) -> None:
    server = AcmeServer(token=SECRET, echoes=True)
    with server.running() as url:
        run = locust(
            *("--headless", "--dialect", f"{ACME}UnknownEchoDialect", "--host", url, "--token", SECRET),
            *("--room-size", "2", "-u", "4", "-r", "4", "ChattingUser", *processes),
        )
        ended = run.stop_once(lambda: sum(entry.startswith("say room-") for entry in server.seen) >= 8)
    assert ended.ended_with(0), ended
    ledger = ended.ledger()
    # Each message is owed to its sender and to the room mate, unless that has not joined yet.
    assert ledger["sent"] < ledger["expected"] <= 2 * ledger["sent"]
    assert ledger["expected"] == ledger["received"]
    assert (ledger["lost"], ledger["duplicated"]) == (0, 0)
    checks = {entry for entry in server.seen if entry.startswith("join stampede-check-")}
    assert len(checks) == 1 + max(1, len(processes))  # before the run, and in each process with users
