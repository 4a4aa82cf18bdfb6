"""Users that send chat messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede import ScheduledUser, poisson, rate

if TYPE_CHECKING:
    from collections.abc import Iterator


class ChattingUser(ScheduledUser):
    """Sends `--message-rate` chat messages per second to its room and times every delivery that it receives.

    The send times are fixed when the user starts (an open model): a slow server delays messages, but never reduces
    their number. `--arrivals` spaces them evenly or as a Poisson process.
    """

    weight = 10

    def schedule(self) -> Iterator[float]:
        """Return the due times of the messages."""
        spacing = {"constant": rate, "poisson": poisson}[self.settings.arrivals.value]
        return spacing(self.settings.message_rate)(self)
