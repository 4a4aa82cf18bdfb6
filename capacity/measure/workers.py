"""The workers of the load generator: their names, and the workers that a test has lost. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.errors import RunError
from stampede.measure.snapshot import WorkerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stampede.measure.snapshot import Snapshot, Worker

READY: Final = "ready"
"""Locust's state of a worker that is connected and has no test."""

_FIRST_REPORT_S: Final = 5.0


class LostWorkerError(RunError):
    """A worker ended, stopped reporting or joined during a test, so that the figures of the test are incomplete.

    Attributes:
        worker: its name.
    """

    def __init__(self, worker: str, what: str) -> None:
        super().__init__(f"{worker} {what}")
        self.worker = worker


@dataclass(frozen=True, slots=True)
class Connection:
    """A worker as Locust's master lists it."""

    id: str
    state: str

    @property
    def host(self) -> str:
        """The name of its machine, with which Locust begins the id of a worker."""
        return host_of(self.id)


def parse_connections(body: bytes) -> list[Connection]:
    """Return the workers in the response of Locust's `/stats/requests`; none for a Locust without workers."""
    return [Connection(one["id"], one["state"]) for one in json.loads(body).get("workers", ())]


def host_of(id_: str) -> str:
    """Return the name of the machine in Locust's id of a worker."""
    return id_.rpartition("_")[0]


def worker_name(index: int, host: str, of: int) -> str:
    """Return the name of a worker in messages.

    Args:
        index: its number in the test.
        host: name of its machine; empty if it is unknown.
        of: number of workers. A single one is called the load generator.
    """
    if of == 1:
        return "the load generator"
    return f"load generator worker {index}{f' on {host}' if host else ''}"


class Roster:
    """The workers with which a test started."""

    __slots__ = ("_ids",)

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = frozenset(ids)

    def check(self, snapshot: Snapshot, seconds: float) -> None:
        """Compare the workers with those that report.

        Args:
            snapshot: the present figures of the test.
            seconds: since the test started.

        Raises:
            LostWorkerError: a worker ended, has no heartbeat, has never reported, or has joined.
            RunError: the users of a worker cannot run, for example because a file is missing on its machine.
        """
        for worker in snapshot.workers:
            if worker.failure and worker.state is WorkerState.CONNECTED:
                raise RunError(f"{self._name(worker)} cannot run its users: {worker.failure}")
        for worker, what in self._changes(snapshot):
            raise LostWorkerError(self._name(worker), what)
        reported = {worker.id for worker in (*snapshot.workers, *snapshot.dead_workers)}
        for id_ in sorted(self._ids - reported):
            if seconds > _FIRST_REPORT_S:
                what = f"has not reported within {seconds:.0f} s of the start of its users"
                raise LostWorkerError(f"the load generator worker on {host_of(id_)}", what)

    def _changes(self, snapshot: Snapshot) -> Iterator[tuple[Worker, str]]:
        """Yield the workers that have left or joined, and what they did; first those that left."""
        workers = [*snapshot.workers, *snapshot.dead_workers]
        for worker in workers:
            if worker.state is WorkerState.ENDED:
                yield worker, "ended"
            elif worker.state is WorkerState.MISSING:
                yield worker, f"last reported {worker.age_s:.0f} s ago"
        for worker in workers:
            if worker.id not in self._ids:
                yield worker, "joined during the test"

    def _name(self, worker: Worker) -> str:
        of = len(self._ids | {worker.id})
        return worker_name(worker.index, worker.host or host_of(worker.id), of)
