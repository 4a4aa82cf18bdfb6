"""The effects of a fault between nodes: what was measured, and whether it is within the goals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GOAL_HEALTH_SECONDS: Final = 3.0
GOAL_PRESENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The effects of one fault; times in seconds, None where they do not apply.

    Attributes:
        unhealthy: until /health of every affected node returned 503.
        isolated: until the member counts of each node's clients contained only members that the node can reach.
        healthy: from the fault's end until every node returned 200.
        reunited: from the fault's end until the member counts of all clients contained all members.
        sent: messages sent.
        missing: deliveries between nodes that did not happen.
        typing: the same for `typing`, which is dropped first.
        counted: missing deliveries according to the metrics of the nodes, including `typing`.
        disorder: deliveries that were duplicated or out of order, and missing local ones.
    """

    fault: str
    unhealthy: float | None
    isolated: float | None
    healthy: float | None
    reunited: float | None
    sent: int
    missing: int
    typing: int
    counted: int
    disorder: int

    @property
    def is_accounted_for(self) -> bool:
        """Whether all missing deliveries were counted, and all others arrived once and in order."""
        return self.disorder == 0 and self.missing + self.typing == self.counted

    @property
    def is_in_time(self) -> bool:
        """Whether health and presence changed within their goals."""
        limits = (GOAL_HEALTH_SECONDS, GOAL_PRESENCE_SECONDS) * 2
        return all(seconds is None or seconds <= limit for seconds, limit in zip(self.times, limits, strict=True))

    @property
    def times(self) -> tuple[float | None, ...]:
        """The measured times."""
        return self.unhealthy, self.isolated, self.healthy, self.reunited

    def __str__(self) -> str:
        times = "  ".join(
            f"{'-' if seconds is None else format(seconds, '.2f'):>{width}}"
            for seconds, width in zip(self.times, (9, 8, 7, 8), strict=True)
        )
        return (
            f"{self.fault:<34}  {times}  {self.sent:>7}  {self.missing:>7}  {self.typing:>6}  {self.counted:>7}"
            f"  {self.disorder:>8}"
        )


HEADER: Final = (
    f"{'fault':<34}  {'unhealthy':>9}  {'isolated':>8}  {'healthy':>7}  {'reunited':>8}  {'sent':>7}  {'missing':>7}  "
    f"{'typing':>6}  {'counted':>7}  {'disorder':>8}"
)
