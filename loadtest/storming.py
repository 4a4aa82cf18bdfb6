"""Users that reconnect in storms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.locust.users import ChatUser

if TYPE_CHECKING:
    from stampede.pool.session import Session
    from stampede.workload.backoff import Backoff


class ReconnectStormUser(ChatUser):
    """Drops its connection together with others, reconnects by `--backoff`, and times its resync.

    Every `--storm-period` seconds, `--storm-share` of these users drop at the same moment. A user is resynced when it
    has rejoined its room and received its first delivery. In a room without other senders a pong takes the place of the
    delivery.
    """

    weight = 2
    drops_periodically = True

    def on_first_join(self, session: Session) -> None:
        """Start the periodic drops of this class, unless another user has started them."""
        settings = self.settings
        self.pool.start_periodic_drops(type(self), settings.storm_share, settings.storm_period, settings.storm_manner)

    def reconnect_backoff(self) -> Backoff:
        """Return the policy of every reconnect, after a drop on purpose or not."""
        return self.settings.backoff
