"""The preset pusher against a double of Pusher Channels, on which the protocol's own client is measured, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dialects.load import USERS, agree_on_counts, carry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.dialects.fixtures import StartReal
    from tests.stampede.fixtures import Locust

DIALECT = "pusher"
SIGN = "POST /pusher/auth"


def test_it_carries_a_load_without_a_lost_delivery(locust: Callable[..., Locust], start_real: StartReal) -> None:
    server = start_real("pusher", "--token", "secret")
    ended = carry(locust, server, "--dialect", DIALECT, "--token", "secret")
    agree_on_counts(server, ended, echoes=False)
    assert ended.requests("POST")[SIGN] == (USERS, 0)


def test_users_that_come_back_are_signed_again(locust: Callable[..., Locust], start_real: StartReal) -> None:
    server = start_real("pusher")
    load = ("-u", "50", "-r", "50", "--room-size", "10", "-t", "15s", "--churn-per-minute", "4")
    ended = locust("--headless", "--host", server.url, *load, "--dialect", DIALECT, "ChattingUser").wait()
    ledger = ended.ledger()
    assert ledger["expected"] == ledger["received"] > 0, ended.out
    assert {ledger[name] for name in ("lost", "duplicated", "reordered")} == {0}, ended.out
    signed, failed = ended.requests("POST")[SIGN]  # the end of the test may interrupt one
    assert signed - failed > 50, ended.log


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[defaults]\nkey = "other"', "4001 Application does not exist"),
        ("", "POST /pusher/auth: HTTP 401"),
        ('path = "/app/app-key?protocol=8"', "4007 Unsupported protocol version"),
    ],
)
def test_wrong_settings_end_in_one_line(
    content: str, expected: str, locust: Callable[..., Locust], start_real: StartReal, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f'extends = "pusher"\n{content}')
    server = start_real("pusher", "--token", "secret")
    ended = locust("--headless", "--host", server.url, "--dialect", str(file), "-t", "5s", "ChattingUser").wait()
    assert ended.code == 2, ended.log
    (line,) = (line for line in ended.log.splitlines() if "error:" in line)
    assert expected in line
