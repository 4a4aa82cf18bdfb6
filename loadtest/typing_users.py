"""Users that compose messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.locust.users import ChatUser
from stampede.workload.schedule import composing

if TYPE_CHECKING:
    from stampede.pool.session import Session


class TypingUser(ChatUser):
    """Sends one to four `typing` notices three seconds apart, then a chat message, then pauses six seconds on average.

    A notice that cannot be sent at its due time is dropped, because a late one is wrong.
    """

    weight = 5

    def on_first_join(self, session: Session) -> None:
        """Start to compose."""
        session.follow(composing(self.rng("composing")))
