"""What the pages derive from running counts."""

from __future__ import annotations

import pytest

from server.pages import RecentRate


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
