"""Watch the workers of the load generator: wait for them, and notice when a test loses one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from capacity.errors import RunError
from capacity.formatting import listing
from capacity.measure.workers import READY, LostWorkerError, Roster, host_of
from capacity.record.worker import WorkerRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capacity.measure.workers import Connection
    from stampede.measure.snapshot import Snapshot, Worker

_POLL_S: Final = 0.2


class WorkerWatch:
    """The workers that a run expects, and those that its test has.

    Attributes:
        has_lost: whether the running test has lost a worker, or got an additional one.
    """

    __slots__ = (
        "_expected",
        "_lost",
        "_option",
        "_progress",
        "_roster",
        "_seen",
        "_started_at",
        "_surplus",
        "_timeout_s",
    )

    def __init__(self, expected: int, timeout_s: float, option: str, progress: Callable[[str], None]) -> None:
        """Expect workers.

        Args:
            expected: number of workers.
            timeout_s: how long to wait for them; `option` sets it, if there is one.
            option: name of that option.
            progress: receives a message whenever another worker has connected.
        """
        self._expected = expected
        self._timeout_s = timeout_s
        self._option = f" ({option})" if option else ""
        self._progress = progress
        self._roster = Roster(())
        self._started_at: float | None = None
        self._lost: LostWorkerError | None = None
        self._surplus = 0
        self._seen: dict[tuple[int, str], Worker] = {}

    @property
    def has_lost(self) -> bool:
        return self._lost is not None

    def wait_for_all(self, connections: Callable[[], Sequence[Connection]]) -> None:
        """Wait until all expected workers are connected and ready, given a function that lists the present ones.

        Raises:
            RunError: they are not in time.
        """
        deadline = time.monotonic() + self._timeout_s
        shown = None
        while True:
            ready = [one for one in connections() if one.state == READY]
            if len(ready) >= self._expected:
                break
            if time.monotonic() > deadline:
                raise RunError(self._timeout_text(ready))
            if shown != len(ready):
                shown = len(ready)
                self._progress(f"waiting for load generator workers: {self._count(ready)}")
            time.sleep(_POLL_S)
        self._roster = Roster(one.id for one in ready)
        self._started_at, self._lost = None, None
        if len(ready) > self._expected:
            self._surplus = len(ready) - self._expected
            self._progress(self.notes()[0])

    def _count(self, ready: Sequence[Connection]) -> str:
        hosts = f": {listing(sorted(one.host for one in ready))}" if ready else ""
        return f"{len(ready)} of {self._expected} connected{hosts}"

    def _timeout_text(self, ready: Sequence[Connection]) -> str:
        within = f"within {self._timeout_s:g} s{self._option}"
        if self._lost is not None:
            return f"{self._lost}, and did not come back {within}: {self._count(ready)}"
        return f"the load generator workers did not connect {within}: {self._count(ready)}"

    def start(self) -> None:
        """Note that users start, unless they run already."""
        if self._started_at is None:
            self._started_at = time.monotonic()

    def check(self, snapshot: Snapshot) -> None:
        """Check that the running test has all of its workers, and no others.

        Raises:
            LostWorkerError: it has lost one, or got another.
        """
        if self._started_at is None:
            return
        self._seen |= {(one.index, one.host or host_of(one.id)): one for one in snapshot.workers}
        self._seen |= {(one.index, one.host or host_of(one.id)): one for one in snapshot.dead_workers}
        try:
            self._roster.check(snapshot, time.monotonic() - self._started_at)
        except LostWorkerError as error:
            self._lost = error
            raise

    def records(self) -> list[WorkerRecord]:
        """Return the workers that have run users, as they were seen last."""
        several = len(self._seen) > 1
        return [
            WorkerRecord(name=f"worker {index}" if several else "load generator", host=host, state=one.state)
            for (index, host), one in sorted(self._seen.items())
        ]

    def notes(self) -> list[str]:
        """Return a note if more workers than expected were connected."""
        if not self._surplus:
            return []
        present = self._expected + self._surplus
        return [f"{present} load generator workers were connected, {self._expected} were expected: all run users"]
