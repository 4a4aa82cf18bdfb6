"""People who write, slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest._timeline import composing
from loadtest._users import HerdUser

if TYPE_CHECKING:
    from loadtest._herd import Herd
    from loadtest._options import Settings
    from loadtest._session import Session


class TypingUser(HerdUser):
    """Compose: `typing` every three seconds, then one message, then a pause."""

    weight = 5

    def begin(self, herd: Herd, settings: Settings, session: Session) -> None:
        """Begin to write."""
        session.follow(composing(herd.rng("composing", session.place)))
