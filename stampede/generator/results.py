"""What a load generator has measured, in the form that assertions read; pure. Durations are in seconds."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import nan
from typing import TYPE_CHECKING, Final

from stampede.ledger.counts import DeliveryCounts
from stampede.measure.formatting import format_ms

if TYPE_CHECKING:
    from stampede.measure.figures import Latency
    from stampede.measure.log_linear_histogram import LogLinearHistogram
    from stampede.measure.storm_results import StormResult

_ALWAYS_SHOWN: Final = ("expected", "received", "lost", "duplicated", "reordered")


class Ledger(DeliveryCounts):
    """The ledger at one moment. Its text has every count that is not zero, for failed assertions."""

    __slots__ = ()

    @classmethod
    def of(cls, counts: DeliveryCounts) -> Ledger:
        """Return a copy of the counts."""
        return cls(**{field.name: getattr(counts, field.name) for field in fields(DeliveryCounts)})

    def __repr__(self) -> str:
        counts = {field.name: getattr(self, field.name) for field in fields(self)} | {"in_flight": self.in_flight}
        shown = (f"{name}={count}" for name, count in counts.items() if count or name in _ALWAYS_SHOWN)
        return f"Ledger({', '.join(shown)})"


class Durations:
    """Durations of one kind. Values are exact to 1.6 %, the resolution of the histogram."""

    __slots__ = ("_histogram",)

    def __init__(self, histogram: LogLinearHistogram) -> None:
        self._histogram = histogram

    @property
    def count(self) -> int:
        """Number of durations."""
        return self._histogram.count

    @property
    def mean(self) -> float:
        """Mean in seconds; NaN without durations."""
        mean = self._histogram.mean()
        return nan if mean is None else mean / 1e9

    def quantile(self, q: float) -> float:
        """Return the q-quantile (0..1) in seconds; NaN without durations, which fails every comparison.

        Raises:
            ValueError: q lies outside 0..1.
        """
        value = self._histogram.quantile(q)
        return nan if value is None else value / 1e9

    def __repr__(self) -> str:
        if not self.count:
            return "Durations(none)"
        shown = ", ".join(
            f"{name} {format_ms(1000 * self.quantile(q))}" for q, name in ((0.5, "p50"), (0.99, "p99"), (1.0, "max"))
        )
        return f"Durations({self.count}: {shown})"


class DeliveryLatency(Durations):
    """Latency of deliveries from the call of `say`; `from_send` is that from the moment the message was sent.

    The two differ when a message had to wait: because the connection was congested or lost, or the generator was late.
    """

    __slots__ = ("from_send",)

    def __init__(self, latency: Latency) -> None:
        super().__init__(latency.intended)
        self.from_send = Durations(latency.sent)


@dataclass(frozen=True, slots=True)
class StormOutcome:
    """One storm.

    Attributes:
        users: users in their rooms when it began; `dropped` of them were dropped.
        resynced: dropped users that have received a delivery again, or a pong if no other user writes to their room.
        missed: messages of room mates that the dropped users did not get.
        slowest: longest time from a drop to the resync, in seconds; NaN if a user has not resynced.
    """

    users: int
    dropped: int
    resynced: int
    missed: int
    slowest: float

    @classmethod
    def of(cls, result: StormResult) -> StormOutcome:
        """Return the outcome in a result."""
        last = result.until(1.0)
        return cls(result.users, result.dropped, result.resynced, result.missed, nan if last is None else last / 1e9)
