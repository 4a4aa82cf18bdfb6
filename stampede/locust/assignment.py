"""Deals the herd out over the processes of a test: who is which part of it, and of which kinds its users will be; pure.

Workers that are started one by one know neither: they have all kinds of users, and the master runs those that were
chosen there.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from locust.dispatch import _kl_generator

from stampede.workload.placement import Share

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from locust import User


class Kind(msgspec.Struct, frozen=True):
    """One class of users: of `fixed` there are so many, of the others a part by weight."""

    name: str
    weight: float
    fixed: int


class Deal(msgspec.Struct, frozen=True):
    """What one process needs to know of a test: its number, the own part, and the kinds of users in it."""

    run: int
    share: Share
    kinds: list[Kind]


class Dealer:
    """The deals of the test that runs."""

    __slots__ = ("_deals",)

    def __init__(self) -> None:
        self._deals: dict[str, Deal] = {}

    def begin(self, run: int, ids: Iterable[str], kinds: list[Kind]) -> dict[str, Deal]:
        """Deal to the workers that are there when a test begins; return the deals by their ids."""
        dealt = in_turn(ids)
        self._deals = {id_: Deal(run, Share(position, len(dealt)), kinds) for position, id_ in enumerate(dealt)}
        return self._deals

    def join(self, id_: str) -> Deal | None:
        """Return the deal of a worker, which may be new in mid-run; None when there is no test."""
        if id_ not in self._deals and self._deals:
            first = next(iter(self._deals.values()))
            of, position = first.share.of, len(self._deals)
            self._deals[id_] = Deal(first.run, Share(position, of, late=position - of + 1), first.kinds)
        return self._deals.get(id_)

    def end(self) -> None:
        """The test is over: the next one deals anew."""
        self._deals = {}


def kinds_of(classes: Sequence[type[User]]) -> list[Kind]:
    """Return what there is to know of Locust's user classes."""
    return [Kind(cls.__name__, cls.weight, cls.fixed_count) for cls in classes]


def order_of(kinds: Iterable[Kind]) -> Iterator[str]:
    """Return the order in which Locust hands out users: first those of fixed counts, then the others by weight.

    Its workers get them in turn. Locust has no public name for this (locust.dispatch, 2.47).
    """
    named = sorted(kinds, key=lambda kind: kind.name)
    fixed = [(kind.name, kind.fixed) for kind in named if kind.fixed]
    weighted = [(kind.name, kind.weight) for kind in named if not kind.fixed]
    yield from islice(_kl_generator(fixed), sum(count for _, count in fixed))
    if weighted:
        yield from (name for name in _kl_generator(weighted) if name)


def in_turn(ids: Iterable[str]) -> list[str]:
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
