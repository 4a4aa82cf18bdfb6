"""What the pages derive from running counts."""

from __future__ import annotations

import pytest

from server.http.pages import RecentRate, content_security_policy


def test_the_rate_is_that_of_the_last_seconds_only() -> None:
    rate = RecentRate(now=100.0)
    assert rate.per_second(100.0, 0) == 0.0
    for second in range(1, 11):
        rate.sample(100.0 + second, 10 * second)
    for second in range(11, 21):
        rate.sample(100.0 + second, 100 + 50 * (second - 10))
    assert rate.per_second(120.0, 600) == pytest.approx(50)


def test_a_server_that_just_started_has_no_rate_to_speak_of() -> None:
    rate = RecentRate(now=5.0)
    assert rate.per_second(5.5, 10) == pytest.approx(20)


@pytest.mark.parametrize("host", ["chat.example.org", "127.0.0.1:8080", "xn--bcher-kva.example:443"])
def test_the_policy_names_the_pages_own_sockets_for_browsers_whose_self_does_not(host: str) -> None:
    assert f"connect-src 'self' ws://{host} wss://{host}; " in content_security_policy(host)


@pytest.mark.parametrize(
    "host", ["", "[::1]:8080", "a b", "a; script-src *", "a\r\nb", "*", "one.example, two.example"]
)
def test_a_host_that_no_policy_can_name_adds_nothing(host: str) -> None:
    assert "connect-src 'self'; " in content_security_policy(host)
