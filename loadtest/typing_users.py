"""People who write, slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.locust.users import ChatUser
from stampede.workload.schedule import composing

if TYPE_CHECKING:
    from stampede.locust.options import Settings
    from stampede.pool.session import Session
    from stampede.pool.user_pool import UserPool


class TypingUser(ChatUser):
    """Compose: `typing` every three seconds, then one message, then a pause."""

    weight = 5

    def begin(self, pool: UserPool, settings: Settings, session: Session) -> None:
        """Begin to write."""
        session.follow(composing(pool.rng("composing", session.place)))
