"""Ramp users up in portions of half of the missing users, each once the server has absorbed the last one. Pure.

A joining user costs a server more than a connected one: a handshake, and messages that only new users send. If all
users joined at once, a server near its limit would work on the backlog for a long time, and fail at a level that it
holds. With portions, the backlog stays as small as the server's reserve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_LAST_PORTION: Final = 0.1
_MAX_PROBES: Final = 4
_RISE: Final = 1.05
_MAX_RISES: Final = 3
_DEFAULT_BACKLOG_MS: Final = 50.0
_BACKLOG_SHARE: Final = 0.6


def backlog_ms(slo_ms: float | None) -> float:
    """Return the latency (p50) above which deliveries are waiting in a backlog.

    It is 0.6 of the strictest SLO on delivery latency, which bounds a percentile far above p50: p50 of a server whose
    core is full, but which keeps pace, was up to 0.56 of an SLO that its p99 just missed.
    """
    return _DEFAULT_BACKLOG_MS if slo_ms is None else _BACKLOG_SHARE * slo_ms


def portions(present: int, users: int) -> Iterator[int]:
    """Yield the numbers of users to request one after another; a decrease is one portion."""
    while users - present > max(1.0, _LAST_PORTION * users):
        present += (users - present) // 2
        yield present
    yield users


class RampGate:
    """Decides from the latency (p50) of probes whether the server has absorbed a portion or is overloaded.

    Attributes:
        is_absorbed: the latency is low, or stayed the same for so many probes that it is not a backlog.
        is_overloaded: the latency rises from probe to probe.
    """

    __slots__ = ("_last_ms", "_low_ms", "_probes", "_rises", "is_absorbed")

    def __init__(self, low_ms: float) -> None:
        """Treat a latency of up to `low_ms` as no backlog."""
        self._low_ms = low_ms
        self._last_ms = float("inf")
        self._probes = self._rises = 0
        self.is_absorbed = False

    @property
    def is_overloaded(self) -> bool:
        return self._rises >= _MAX_RISES

    def add_probe(self, p50_ms: float) -> None:
        """Add the latency of another probe."""
        rises = p50_ms > self._low_ms and p50_ms > _RISE * self._last_ms
        self._last_ms = p50_ms
        self._probes += 1
        self._rises = self._rises + 1 if rises else 0
        self.is_absorbed = p50_ms <= self._low_ms or (self._probes >= _MAX_PROBES and not self.is_overloaded)
