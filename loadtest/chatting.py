"""Users that send chat messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.locust.users import ChatUser
from stampede.workload.schedule import messages

if TYPE_CHECKING:
    from stampede.pool.session import Session


class ChattingUser(ChatUser):
    """Sends `--message-rate` chat messages per second to its room and times every delivery that it receives.

    The send times are fixed when the user starts (an open model): a slow server delays messages, but never reduces
    their number. `--arrivals` spaces them evenly or as a Poisson process.
    """

    weight = 10

    def on_first_join(self, session: Session) -> None:
        """Start to send."""
        session.follow(messages(self.settings.message_rate, self.settings.arrivals, self.rng("messages")))
