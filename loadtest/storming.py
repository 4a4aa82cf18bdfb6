"""Users that reconnect in storms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede import ScheduledUser

if TYPE_CHECKING:
    from stampede import Backoff


class ReconnectStormUser(ScheduledUser):
    """Drops its connection together with others, reconnects by `--backoff`, and times its resync.

    Every `--storm-period` seconds, `--storm-share` of these users drop at the same moment. A user is resynced when it
    has rejoined its room and received its first delivery. In a room without other senders a pong takes the place of the
    delivery.
    """

    weight = 2
    drops_periodically = True

    def reconnect_backoff(self) -> Backoff:
        """Return the policy of every reconnect, after a drop on purpose or not."""
        return self.settings.backoff
