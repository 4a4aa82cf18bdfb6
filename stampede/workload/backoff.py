"""How long to wait before a reconnect; pure, the random generator is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

_BASE_SECONDS: Final = 0.5
_MAX_SECONDS: Final = 30.0
_FIXED_SECONDS: Final = 1.0
_MIN_SECONDS_AFTER_FAILURE: Final = 0.1  # without a wait, users of policy `none` would spin against a dead server


class Policy(Enum):
    """The policies of `--backoff`."""

    NONE = "none"
    FIXED = "fixed"
    EXPONENTIAL = "exponential"
    FULL_JITTER = "full-jitter"


@dataclass(frozen=True, slots=True)
class Backoff:
    """A policy for the waits between connection attempts."""

    policy: Policy

    def delay(self, failures: int, rng: Random) -> float:
        """Return the seconds to wait before the next attempt, after `failures` failed ones in a row.

        Full jitter draws evenly between zero and the exponential wait (M. Brooker, "Exponential Backoff And Jitter",
        AWS Architecture Blog, 2015).
        """
        if self.policy is Policy.NONE:
            seconds = 0.0
        elif self.policy is Policy.FIXED:
            seconds = _FIXED_SECONDS
        else:
            seconds = min(_MAX_SECONDS, _BASE_SECONDS * 2.0 ** min(failures, 10))
            if self.policy is Policy.FULL_JITTER:
                seconds = rng.uniform(0, seconds)
        return max(seconds, _MIN_SECONDS_AFTER_FAILURE) if failures else seconds


DEFAULT_BACKOFF: Final = Backoff(Policy.FULL_JITTER)
"""For reconnects after a connection loss that the load test did not cause."""
