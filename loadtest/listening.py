"""Users that only listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.locust.users import ChatUser
from stampede.workload.schedule import SECOND, Action, regular

if TYPE_CHECKING:
    from stampede.pool.session import Session

PING_INTERVAL: Final = 15 * SECOND


class ListeningUser(ChatUser):
    """Joins a room and receives its messages: the idle baseline.

    A `ping` every 15 seconds measures the round trip to the server.
    """

    weight = 4

    def on_first_join(self, session: Session) -> None:
        """Start to send pings."""
        session.follow(regular(PING_INTERVAL, self.rng("pings"), Action.PING), sends_messages=False)
