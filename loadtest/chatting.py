"""People who talk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.locust.users import HerdUser
from stampede.workload.schedule import messages

if TYPE_CHECKING:
    from stampede.locust.options import Settings
    from stampede.pool.pool import Herd
    from stampede.pool.session import Session


class ChattingUser(HerdUser):
    """Send chat messages on an absolute timeline, and measure every delivery."""

    weight = 10

    def begin(self, herd: Herd, settings: Settings, session: Session) -> None:
        """Begin to talk."""
        rng = herd.rng("messages", session.place)
        session.follow(messages(settings.message_rate, settings.arrivals, rng))
