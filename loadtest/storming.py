"""People whose line is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.locust.users import HerdUser

if TYPE_CHECKING:
    from stampede.locust.options import Settings
    from stampede.pool.pool import Herd
    from stampede.pool.session import Session
    from stampede.workload.backoff import Backoff


class ReconnectStormUser(HerdUser):
    """Drop together with others, come back by the policy of `--backoff`, and time it until the first delivery.

    In a room where nobody else speaks a pong, asked for after the join, stands in for the delivery.
    """

    weight = 2
    storms = True

    def begin(self, herd: Herd, settings: Settings, session: Session) -> None:
        """Join the cohort."""
        herd.start_storms(type(self), settings.storm_share, settings.storm_period, settings.storm_manner)

    def backoff(self, settings: Settings) -> Backoff:
        """Return the policy under test."""
        return settings.backoff
