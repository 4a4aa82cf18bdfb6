"""People who only listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.locust.users import ChatUser
from stampede.workload.schedule import SECOND, Action, regular

if TYPE_CHECKING:
    from stampede.locust.options import Settings
    from stampede.pool.session import Session
    from stampede.pool.user_pool import UserPool

PING_EVERY: Final = 15 * SECOND


class ListeningUser(ChatUser):
    """Join and listen: the idle baseline; a `ping` every 15 seconds times the way there and back."""

    weight = 4

    def begin(self, pool: UserPool, settings: Settings, session: Session) -> None:
        """Begin to ping."""
        session.follow(regular(PING_EVERY, pool.rng("pings", session.place), Action.PING), sends_messages=False)
