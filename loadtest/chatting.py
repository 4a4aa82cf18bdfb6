"""People who talk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.locust.users import ChatUser
from stampede.workload.schedule import messages

if TYPE_CHECKING:
    from stampede.locust.options import Settings
    from stampede.pool.session import Session
    from stampede.pool.user_pool import UserPool


class ChattingUser(ChatUser):
    """Send chat messages on an absolute timeline, and measure every delivery."""

    weight = 10

    def begin(self, pool: UserPool, settings: Settings, session: Session) -> None:
        """Begin to talk."""
        rng = pool.rng("messages", session.place)
        session.follow(messages(settings.message_rate, settings.arrivals, rng))
