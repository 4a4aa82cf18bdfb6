"""People whose line is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.locust.users import ChatUser

if TYPE_CHECKING:
    from stampede.locust.options import Settings
    from stampede.pool.session import Session
    from stampede.pool.user_pool import UserPool
    from stampede.workload.backoff import Backoff


class ReconnectStormUser(ChatUser):
    """Drop together with others, come back by the policy of `--backoff`, and time it until the first delivery.

    In a room where nobody else speaks a pong, asked for after the join, stands in for the delivery.
    """

    weight = 2
    storms = True

    def begin(self, pool: UserPool, settings: Settings, session: Session) -> None:
        """Join the cohort."""
        pool.start_periodic_drops(type(self), settings.storm_share, settings.storm_period, settings.storm_manner)

    def backoff(self, settings: Settings) -> Backoff:
        """Return the policy under test."""
        return settings.backoff
