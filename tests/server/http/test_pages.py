"""The message rate of /api/status, and the Content-Security-Policy of the pages."""

from __future__ import annotations

import pytest

from server.http.pages import MessageRate, content_security_policy
from server.stats import ServerStats


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_the_message_rate_covers_the_last_seconds_only() -> None:
    clock, stats = Clock(100.0), ServerStats()
    rate = MessageRate(stats, clock)
    assert rate.per_second() == 0.0
    for messages in [10] * 10 + [50] * 10:
        clock.now += 1.0
        stats.messages_received["typing"] += messages
        rate.sample()
    assert rate.per_second() == pytest.approx(50)


def test_the_message_rate_of_a_server_that_just_started_covers_its_lifetime() -> None:
    clock, stats = Clock(5.0), ServerStats()
    rate = MessageRate(stats, clock)
    clock.now = 5.5
    stats.messages_received["chatMessage"] += 10
    assert rate.per_second() == pytest.approx(20)


@pytest.mark.parametrize("host", ["chat.example.org", "127.0.0.1:8080", "xn--bcher-kva.example:443"])
def test_the_policy_names_the_pages_own_sockets_for_browsers_whose_self_does_not(host: str) -> None:
    assert f"connect-src 'self' ws://{host} wss://{host}; " in content_security_policy(host)


@pytest.mark.parametrize(
    "host", ["", "[::1]:8080", "a b", "a; script-src *", "a\r\nb", "*", "one.example, two.example"]
)
def test_a_host_that_no_policy_can_name_adds_nothing(host: str) -> None:
    assert "connect-src 'self'; " in content_security_policy(host)
