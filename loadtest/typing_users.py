"""People who write, slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.locust.users import HerdUser
from stampede.workload.schedule import composing

if TYPE_CHECKING:
    from stampede.locust.options import Settings
    from stampede.pool.pool import Herd
    from stampede.pool.session import Session


class TypingUser(HerdUser):
    """Compose: `typing` every three seconds, then one message, then a pause."""

    weight = 5

    def begin(self, herd: Herd, settings: Settings, session: Session) -> None:
        """Begin to write."""
        session.follow(composing(herd.rng("composing", session.place)))
