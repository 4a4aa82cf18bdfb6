"""People who only listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.locust.users import HerdUser
from stampede.workload.schedule import SECOND, Act, regular

if TYPE_CHECKING:
    from stampede.locust.options import Settings
    from stampede.pool.pool import Herd
    from stampede.pool.session import Session

PING_EVERY: Final = 15 * SECOND


class ListeningUser(HerdUser):
    """Join and listen: the idle baseline; a `ping` every 15 seconds times the way there and back."""

    weight = 4

    def begin(self, herd: Herd, settings: Settings, session: Session) -> None:
        """Begin to ping."""
        session.follow(regular(PING_EVERY, herd.rng("pings", session.place), Act.PING), speaks=False)
