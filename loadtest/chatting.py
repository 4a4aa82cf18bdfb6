"""People who talk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest._timeline import messages
from loadtest._users import HerdUser

if TYPE_CHECKING:
    from loadtest._herd import Herd
    from loadtest._options import Settings
    from loadtest._session import Session


class ChattingUser(HerdUser):
    """Send chat messages on an absolute timeline, and measure every delivery."""

    weight = 10

    def begin(self, herd: Herd, settings: Settings, session: Session) -> None:
        """Begin to talk."""
        rng = herd.rng("messages", session.place)
        session.follow(messages(settings.message_rate, settings.arrivals, rng))
