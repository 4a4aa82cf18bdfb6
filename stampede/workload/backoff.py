"""How long to wait before trying to connect again: pure; the rng comes in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

_FIRST: Final = 0.5
_LONGEST: Final = 30.0
_FIXED: Final = 1.0
_AT_LEAST_AFTER_FAILURE: Final = 0.1  # who never waits would spin against a dead server


class Policy(Enum):
    """The policies of `--backoff`."""

    NONE = "none"
    FIXED = "fixed"
    EXPONENTIAL = "exponential"
    FULL_JITTER = "full-jitter"


@dataclass(frozen=True, slots=True)
class Backoff:
    """One policy."""

    policy: Policy

    def delay(self, failures: int, rng: Random) -> float:
        """Return the seconds to wait before the next attempt, after so many failed ones in a row.

        Full jitter draws evenly between zero and what exponential would wait (M. Brooker, "Exponential Backoff And
        Jitter", AWS Architecture Blog, 2015).
        """
        if self.policy is Policy.NONE:
            seconds = 0.0
        elif self.policy is Policy.FIXED:
            seconds = _FIXED
        else:
            seconds = min(_LONGEST, _FIRST * 2.0 ** min(failures, 10))
            if self.policy is Policy.FULL_JITTER:
                seconds = rng.uniform(0, seconds)
        return max(seconds, _AT_LEAST_AFTER_FAILURE) if failures else seconds


RETRY: Final = Backoff(Policy.FULL_JITTER)
"""What users do that are no subject of a storm."""
