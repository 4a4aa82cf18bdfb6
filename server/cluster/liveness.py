"""Decide from the arrival times of probes whether the bus works in both directions. Pure; times are arguments."""

from __future__ import annotations

from typing import Final

from server.cluster.membership import HEARTBEAT_SECONDS, MISSED_HEARTBEATS

SILENT_SECONDS: Final = (MISSED_HEARTBEATS - 0.2) * HEARTBEAT_SECONDS
"""Probe timeout after which the bus counts as silent, shorter than the timeout of a node."""

ABANDON_SECONDS: Final = 2 * MISSED_HEARTBEATS * HEARTBEAT_SECONDS
"""Time without probes after which connections are replaced. TCP retries after 0.2 s and doubles the delay each time, so
until then a new connection would not be much faster."""


class Liveness:
    """The arrival times of probes; all times in seconds of one monotonic clock."""

    __slots__ = ("_checked_at", "_delay", "_inbound_at", "_outbound_at", "_resumed_at")

    def __init__(self, now: float) -> None:
        self._inbound_at = self._outbound_at = now
        self._checked_at = self._resumed_at = now
        self._delay = 0.0

    def restart(self, now: float) -> None:
        """Start both timeouts again, after connecting."""
        self._inbound_at = self._outbound_at = now

    def record_inbound(self, now: float, sent_at: float) -> None:
        """Record the arrival of a probe on the path of inbound messages."""
        self._inbound_at = now
        self._delay = now - sent_at

    def record_outbound(self, now: float) -> None:
        """Record the arrival of a probe on the path of outbound messages."""
        self._outbound_at = now

    def delay(self, now: float) -> float:
        """Return how long inbound messages wait: the delay of the last probe, or the time by which the next is late."""
        return max(self._delay, now - self._inbound_at - HEARTBEAT_SECONDS)

    def detect_suspend(self, now: float) -> None:
        """Extend the timeout once after this process was suspended; call this several times per heartbeat interval.

        A process is taken as suspended when the last call was longer ago than a heartbeat interval. The timeout is not
        extended again until probes have arrived.
        """
        self._resumed_at = self._last_resume(now)
        self._checked_at = now

    def is_silent(self, now: float) -> bool:
        """Return whether probes have not arrived in both directions for too long, apart from an undetected suspend."""
        return now - self._confirmed_at(now) >= SILENT_SECONDS

    def is_dead(self, now: float, connected_at: float) -> bool:
        """Return whether a connection made at `connected_at` should be replaced."""
        return now - max(self._confirmed_at(now), connected_at) >= ABANDON_SECONDS

    def _confirmed_at(self, now: float) -> float:
        """Return when both directions were last confirmed, or this process resumed after a suspend."""
        return max(min(self._inbound_at, self._outbound_at), self._last_resume(now))

    def _last_resume(self, now: float) -> float:
        """Return when this process last resumed after a suspend: now, if `detect_suspend` would detect one."""
        was_suspended = now - self._checked_at > HEARTBEAT_SECONDS
        may_extend = self._resumed_at <= min(self._inbound_at, self._outbound_at)
        return now if was_suspended and may_extend else self._resumed_at
