"""Command storms of a share of the users, one after another, and wait for those dropped to hear again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from capacity.errors import RunError
from capacity.measure.window import MissingDataError, client_window, server_window
from capacity.storms.storm import StormWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.measure.instant import ServerSample
    from stampede.measure.snapshot import Snapshot
    from stampede.measure.storm_results import StormResult

_POLL_S: Final = 0.2
_REPORTED_S: Final = 2.0
_BEYOND: Final = 2.0
_LEAST_S: Final = 5.0


class Held(Protocol):
    """Users that are held at their level."""

    def hold(self, users: int) -> bool: ...

    def read(self) -> tuple[Snapshot, ServerSample]: ...


class Commander(Protocol):
    """What a storm needs of the load generator."""

    def storm(self, share: float) -> int: ...


class Stormer:
    """Takes storms while `users` are held.

    Args:
        threshold_s: the longest that a level allows for the way back; twice that is waited for.
    """

    __slots__ = ("_clock", "_generator", "_held", "_patience_s", "_sleep", "_users")

    def __init__(
        self,
        generator: Commander,
        held: Held,
        *,
        users: int,
        threshold_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._generator = generator
        self._held = held
        self._users = users
        self._patience_s = max(_LEAST_S, _BEYOND * threshold_s)
        self._clock = clock
        self._sleep = sleep

    def take(self, share: int) -> StormWindow:
        """Drop `share` percent of the users at once; return what happened until they were back.

        Raises:
            RunError: the generator or the server is gone, or knows nothing of the storm.
        """
        self._held.hold(self._users)
        before, server_before = self._held.read()
        due = round(share / 100 * before.ready)
        number = self._generator.storm(share / 100)
        began = self._clock()
        while True:
            self._sleep(_POLL_S)
            after, server_after = self._held.read()
            waited = self._clock() - began
            storm = _storm(after, number)
            # Processes report at moments of their own: the storm is known when the last one has told its part.
            told = storm is not None and storm.dropped >= due - len(after.workers)
            if not told and waited > _REPORTED_S + self._patience_s:
                raise RunError("the load generator tells nothing of the storm that it was asked for")
            if storm is not None and told and (storm.over or waited >= self._patience_s):
                break
        try:
            client = client_window(before, after)
        except MissingDataError as error:
            raise RunError(f"the storm cannot be told: {error}") from None
        return StormWindow(storm, client, server_window(server_before, server_after), waited)


def _storm(snapshot: Snapshot, number: int) -> StormResult | None:
    return next((storm for storm in snapshot.storms if storm.id == number), None)
