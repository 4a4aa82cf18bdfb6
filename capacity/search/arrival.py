"""How users are brought on: in portions, each half of what is left, the next one when the server has taken the last.

Coming costs a server more than being there: a handshake, and messages that only newcomers send. Let in all at once,
they leave a backlog behind that a server near its limit works off at the rate of what it has to spare, which is next
to nothing: it would fail at a level that it holds. In portions the backlog stays as small as the server's reserve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNDIVIDED: Final = 0.05
_LOOKS: Final = 6
_RISE: Final = 1.05
_RISES: Final = 3


def portions(present: int, users: int) -> Iterator[int]:
    """Yield the numbers of users to ask for one after another; fewer than there are, at once."""
    while users - present > max(1.0, _UNDIVIDED * users):
        present += (users - present) // 2
        yield present
    yield users


class Intake:
    """Tells from the latency (p50) of probes during one portion whether the server has taken it, or never will.

    Args:
        calm_ms: latency that is as good as none.

    Attributes:
        is_taken: latency is low, or has been looked at so often that it is not the backlog of these few.
        is_hopeless: latency rises from probe to probe: the server cannot bear what is there already.
    """

    __slots__ = ("_before_ms", "_calm_ms", "_looks", "_rises", "is_taken")

    def __init__(self, calm_ms: float) -> None:
        self._calm_ms = calm_ms
        self._before_ms = float("inf")
        self._looks = self._rises = 0
        self.is_taken = False

    @property
    def is_hopeless(self) -> bool:
        return self._rises >= _RISES

    def look(self, p50_ms: float) -> None:
        """Take the latency of another probe."""
        rises = p50_ms > self._calm_ms and p50_ms > _RISE * self._before_ms
        self._before_ms = p50_ms
        self._looks += 1
        self._rises = self._rises + 1 if rises else 0
        self.is_taken = p50_ms <= self._calm_ms or (self._looks >= _LOOKS and not self.is_hopeless)
