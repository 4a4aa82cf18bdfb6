"""Start reconnect storms one after another, and wait until the dropped users have resynced."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from capacity.errors import RunError
from capacity.measure.client_window import MissingDataError, client_window
from capacity.measure.server_window import server_window
from capacity.storms.judge import StormWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.search.step_measurement import Reading
    from stampede.measure.snapshot import Snapshot
    from stampede.measure.storm_results import StormResult

_POLL_S: Final = 0.2
_REPORT_TIMEOUT_S: Final = 2.0
_TIMEOUT_FACTOR: Final = 2.0
_MIN_TIMEOUT_S: Final = 5.0


class HeldUsers(Protocol):
    """Keeps a number of users at a steady rate."""

    def hold(self, users: int) -> bool: ...

    def read(self) -> Reading: ...


class StormGenerator(Protocol):
    """The part of the load generator that a storm uses."""

    def storm(self, fraction: float) -> int: ...


class StormRunner:
    """Runs storms while a number of users is held."""

    __slots__ = ("_clock", "_generator", "_held", "_sleep", "_timeout_s", "_users")

    def __init__(
        self,
        generator: StormGenerator,
        held: HeldUsers,
        *,
        users: int,
        threshold_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Create a runner. It waits for twice `threshold_s`, the longest resync time that an SLO allows."""
        self._generator = generator
        self._held = held
        self._users = users
        self._timeout_s = max(_MIN_TIMEOUT_S, _TIMEOUT_FACTOR * threshold_s)
        self._clock = clock
        self._sleep = sleep

    def run(self, percent: int) -> StormWindow:
        """Drop a percentage of the users at once; return the measurements until they have resynced.

        Raises:
            RunError: the generator or the server has ended, or the generator does not report the storm.
        """
        self._held.hold(self._users)
        first = self._held.read()
        due = round(percent / 100 * first.snapshot.ready)
        storm_id = self._generator.storm(percent / 100)
        began = self._clock()
        while True:
            self._sleep(_POLL_S)
            last = self._held.read()
            waited = self._clock() - began
            storm = find_storm(last.snapshot, storm_id)
            # Workers report at different times: the storm is complete once the last one has reported its part.
            reported = storm is not None and storm.dropped >= due - len(last.snapshot.workers)
            if not reported and waited > _REPORT_TIMEOUT_S + self._timeout_s:
                raise RunError("the load generator did not report the requested storm")
            if storm is not None and reported and (storm.over or waited >= self._timeout_s):
                break
        try:
            client = client_window(first.snapshot, last.snapshot)
        except MissingDataError as error:
            raise RunError(f"the storm cannot be measured: {error}") from None
        return StormWindow(storm, client, server_window(first.sample, last.sample), waited)


def find_storm(snapshot: Snapshot, storm_id: int) -> StormResult | None:
    """Return a storm or a watch of a snapshot; None if it is not reported."""
    return next((storm for storm in snapshot.storms if storm.id == storm_id), None)
