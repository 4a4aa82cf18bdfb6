"""The draw of the users whose deliveries are timed; pure.

Users are drawn by a golden-ratio sequence of their numbers. Of any successive users nearly the same share is drawn, so
the draw is even over rooms and over the places in a room, whatever their size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MIN_TIMED_USERS: Final = 200
"""Timed users at least, by default: with fewer samples the high percentiles of a short window would be uncertain."""

_GOLDEN_RATIO: Final = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class TimedUsers:
    """How many users are timed: a share of them, but not fewer than a number."""

    share: float = 1.0
    least: int = MIN_TIMED_USERS

    def share_of(self, users: int) -> float:
        """Return the share of `users` users that is timed."""
        return max(self.share, self.least / users) if users else 1.0


def is_timed(number: int, share: float, offset: float) -> bool:
    """Return whether a user is timed.

    Args:
        number: of the user in the run.
        share: of the users that are timed.
        offset: between 0 and 1, by the seed of the run.
    """
    return (number * _GOLDEN_RATIO + offset) % 1 < share
