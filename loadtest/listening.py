"""Users that only listen."""

from __future__ import annotations

from stampede import ScheduledUser, rate


class ListeningUser(ScheduledUser):
    """Joins a room and receives its messages: the idle baseline.

    A `ping` every 15 seconds measures the round trip to the server.
    """

    weight = 4
    schedule = rate(1 / 15)

    def act(self) -> None:
        """Send a ping."""
        self.chat.ping()
