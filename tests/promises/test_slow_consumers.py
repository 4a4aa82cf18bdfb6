"""Members that stop reading lose their connection, cost bounded memory, and do not affect the latency of others."""

from __future__ import annotations

import os

import pytest

from tests.promises.slow_consumer import HARD_LIMIT, SLACK_BYTES, measure

SECONDS = float(os.environ.get("STAMPEDE_FAULTS_SECONDS", "1.5"))
"""Length of a window; `python -m tests.promises.slow_consumer` takes minutes."""


@pytest.mark.parametrize(
    ("stopped", "flags"), [(1, ()), (50, ()), (1, ("--slow-timeout", "0.5"))], ids=["one", "fifty", "too long"]
)
def test_members_that_stop_reading_affect_no_other_member(stopped: int, flags: tuple[str, ...]) -> None:
    outcome = measure(stopped, SECONDS, 6, *flags)
    total = stopped * len(outcome.disturbed)
    assert outcome.closed == {
        "slow_consumer": total,
        "client": total,
    }  # the stopped members, and the readers in their place
    assert outcome.kills == total
    assert set(outcome.codes) == {(1013, "too slow")}
    assert not outcome.torn
    assert outcome.grown <= stopped * HARD_LIMIT + SLACK_BYTES
    assert not outcome.is_affected, outcome
