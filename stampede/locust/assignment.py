"""Deals the pool out over the processes of a test: who is which part of it, and of which kinds its users will be; pure.

Workers that are started one by one know neither: they have all kinds of users, and the master runs those that were
chosen there.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from locust.dispatch import _kl_generator

from stampede.workload.placement import Partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from locust import User


class UserClass(msgspec.Struct, frozen=True):
    """One class of users: of `fixed` there are so many, of the others a part by weight."""

    name: str
    weight: float
    fixed: int


class Assignment(msgspec.Struct, frozen=True):
    """What one process needs to know of a test: its number, the own part, and the kinds of users in it."""

    run: int
    partition: Partition
    kinds: list[UserClass]


class Assigner:
    """The deals of the test that runs."""

    __slots__ = ("_assignments",)

    def __init__(self) -> None:
        self._assignments: dict[str, Assignment] = {}

    def begin(self, run: int, ids: Iterable[str], kinds: list[UserClass]) -> dict[str, Assignment]:
        """Assign the workers that are connected when a test begins; return their assignments by worker id."""
        dealt = worker_order(ids)
        self._assignments = {
            id_: Assignment(run, Partition(position, len(dealt)), kinds) for position, id_ in enumerate(dealt)
        }
        return self._assignments

    def join(self, id_: str) -> Assignment | None:
        """Return the deal of a worker, which may be new in mid-run; None when there is no test."""
        if id_ not in self._assignments and self._assignments:
            first = next(iter(self._assignments.values()))
            of, position = first.partition.of, len(self._assignments)
            self._assignments[id_] = Assignment(first.run, Partition(position, of, late=position - of + 1), first.kinds)
        return self._assignments.get(id_)

    def end(self) -> None:
        """The test is over: the next one deals anew."""
        self._assignments = {}


def user_classes_of(classes: Sequence[type[User]]) -> list[UserClass]:
    """Return what there is to know of Locust's user classes."""
    return [UserClass(cls.__name__, cls.weight, cls.fixed_count) for cls in classes]


def spawn_order(kinds: Iterable[UserClass]) -> Iterator[str]:
    """Return the order in which Locust hands out users: first those of fixed counts, then the others by weight.

    Its workers get them in turn. Locust has no public name for this (locust.dispatch, 2.47).
    """
    named = sorted(kinds, key=lambda kind: kind.name)
    fixed = [(kind.name, kind.fixed) for kind in named if kind.fixed]
    weighted = [(kind.name, kind.weight) for kind in named if not kind.fixed]
    yield from islice(_kl_generator(fixed), sum(count for _, count in fixed))
    if weighted:
        yield from (name for name in _kl_generator(weighted) if name)


def worker_order(ids: Iterable[str]) -> list[str]:
    """Return workers in the order in which Locust deals users to them: one of each host, then the second ones, ...

    An id begins with the host's name (locust.dispatch.UsersDispatcher, 2.47).
    """
    seen: Counter[str] = Counter()
    ranked = []
    for id_ in sorted(ids):
        host = id_.split("_")[0]
        ranked.append((seen[host], id_))
        seen[host] += 1
    return [id_ for _, id_ in sorted(ranked)]
