"""Divides the users of a test among the worker processes; pure.

A worker that is started separately has neither its part of the users nor the user classes chosen on the master. So the
master sends both to each worker when a test starts.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from stampede.workload.placement import Partition

if TYPE_CHECKING:
    from collections.abc import Iterable


class UserClass(msgspec.Struct, frozen=True):
    """A user class: `fixed` users of it, or a part of the others by weight."""

    name: str
    weight: float
    fixed: int


class Assignment(msgspec.Struct, frozen=True):
    """One worker's part in a test.

    Attributes:
        run: number of the test.
        partition: the part of all users that the worker runs.
        user_classes: the user classes of the test.
    """

    run: int
    partition: Partition
    user_classes: list[UserClass]


class Assigner:
    """Assigns a part of the current test to each worker."""

    __slots__ = ("_assignments",)

    def __init__(self) -> None:
        self._assignments: dict[str, Assignment] = {}

    def start(self, run: int, ids: Iterable[str], user_classes: list[UserClass]) -> dict[str, Assignment]:
        """Assign the workers that are connected when a test starts; return their assignments by worker id."""
        ordered = worker_order(ids)
        self._assignments = {
            id_: Assignment(run, Partition(position, len(ordered)), user_classes)
            for position, id_ in enumerate(ordered)
        }
        return self._assignments

    def join(self, id_: str) -> Assignment | None:
        """Return the assignment of a worker, which may have joined during the test; None when there is no test."""
        if id_ not in self._assignments and self._assignments:
            first = next(iter(self._assignments.values()))
            of, position = first.partition.of, len(self._assignments)
            partition = Partition(position, of, late=position - of + 1)
            self._assignments[id_] = Assignment(first.run, partition, first.user_classes)
        return self._assignments.get(id_)

    def end(self) -> None:
        """End the test; the next one assigns all workers again."""
        self._assignments = {}


def worker_order(ids: Iterable[str]) -> list[str]:
    """Return workers in the order in which Locust gives them users: one of each host, then the second ones, and so on.

    A worker id begins with the name of its host (locust.dispatch.UsersDispatcher, 2.47).
    """
    seen: Counter[str] = Counter()
    ranked = []
    for id_ in sorted(ids):
        host = id_.split("_")[0]
        ranked.append((seen[host], id_))
        seen[host] += 1
    return [id_ for _, id_ in sorted(ranked)]
