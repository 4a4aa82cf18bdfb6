"""The check of the options and the user classes when Locust starts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.stampede.check.acme import AcmeServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stampede.fixtures import Locust


@pytest.mark.parametrize(("user_class", "feature"), [("TypingUser", "typing notices"), ("FileUploadUser", "uploads")])
def test_a_user_class_needs_the_features_that_it_uses(
    locust: Callable[..., Locust], user_class: str, feature: str
) -> None:
    ended = locust("--headless", "--dialect", "plain", "-u", "2", "-t", "1s", user_class).wait()
    assert ended.code == 2, ended.log
    assert ended.log.splitlines()[-1] == (
        f"locust: error: {user_class} needs {feature}, which the plain dialect does not have: choose other user classes"
    )


def test_a_message_must_not_be_longer_than_the_dialect_allows(locust: Callable[..., Locust]) -> None:
    acme = ("--dialect", "tests.stampede.check.acme:AcmeDialect")
    ended = locust("--headless", *acme, "-u", "2", "-t", "1s", "--message-bytes", "501", "ChattingUser").wait()
    assert ended.code == 2, ended.log
    assert ended.log.splitlines()[-1] == (
        "locust: error: --message-bytes 501: a text of the acme dialect has 500 bytes at most"
    )


def test_what_a_dialect_lacks_is_logged_once_at_the_start(locust: Callable[..., Locust]) -> None:
    acme = ("--dialect", "tests.stampede.check.acme:UnconfirmedDialect")
    server = AcmeServer()
    with server.running() as url:
        run = locust("--headless", *acme, "--host", url, "--processes", "2", "-u", "4", "ChattingUser")
        ended = run.stop_once(lambda: any(entry.startswith("say room-") for entry in server.seen))
    joins, pings = re.findall(r"The dialect acme: (.*)$", ended.log, re.MULTILINE)
    assert joins.startswith("joins are not confirmed, so users count as joined at the first delivery or after 1 s ")
    assert pings == "there are no pings of the protocol, so WebSocket pings are used."
