"""The timed users are drawn evenly over the users, their rooms and their places in the rooms."""

from __future__ import annotations

from collections import Counter

import pytest

from stampede.workload.timed_users import TimedUsers, is_timed


def test_at_least_the_least_number_is_timed() -> None:
    timed = TimedUsers(0.1, 200)
    assert [timed.share_of(users) for users in (0, 100, 400, 2000, 8000)] == [1.0, 2.0, 0.5, 0.1, 0.1]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("room_size", [2, 5, 16, 20, 50])
@pytest.mark.parametrize("offset", [0.0, 0.37])
def test_the_draw_is_even_over_users_and_places(share: float, room_size: int, offset: float) -> None:
    users = 400 * room_size
    drawn = [number for number in range(users) if is_timed(number, share, offset)]
    assert len(drawn) == pytest.approx(share * users, rel=0.02, abs=3)
    for part in range(0, users, users // 10):
        assert sum(part <= number < part + users // 10 for number in drawn) == pytest.approx(len(drawn) / 10, abs=3)
    places = Counter(number % room_size for number in drawn)
    assert min(places[place] for place in range(room_size)) > 0.8 * share * 400 - 3
    assert max(places.values()) < 1.2 * share * 400 + 3


def test_everyone_is_timed_by_a_share_of_one() -> None:
    assert all(is_timed(number, TimedUsers().share_of(1000), 0.9) for number in range(1000))
