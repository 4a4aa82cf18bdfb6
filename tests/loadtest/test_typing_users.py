"""How a user composes messages."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.loadtest.locustfiles import scheduled


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_typing_users_send_notices_three_seconds_apart_and_then_a_message(seed: int) -> None:
    actions = scheduled("loadtest.typing_users", "TypingUser", 1000, seed)
    assert actions[0][0] >= 0
    assert {action for _, action in actions} == {"typing", "say"}
    gaps = {round(later - at, 6) for (at, action), (later, _) in pairwise(actions) if action == "typing"}
    assert gaps == {3.0}
