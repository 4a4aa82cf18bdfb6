"""Stands in for the Locust user of a session."""

from __future__ import annotations

from stampede.workload.backoff import Backoff, Policy


class FakeUser:
    """A user without a greenlet, which reconnects at once."""

    def reconnect_backoff(self) -> Backoff:
        return Backoff(Policy.NONE)
