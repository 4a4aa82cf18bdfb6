"""The order in which Locust spawns user classes. A process needs it to reserve the places of its users in advance."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from locust.dispatch import _kl_generator

from stampede.locust.agents.assignment import UserClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from locust import User


def user_classes_of(classes: Sequence[type[User]]) -> list[UserClass]:
    """Return the names, weights and fixed counts of Locust user classes."""
    return [UserClass(cls.__name__, cls.weight, cls.fixed_count) for cls in classes]


def spawn_order(user_classes: Iterable[UserClass]) -> Iterator[str]:
    """Return the order in which Locust spawns user classes: those of fixed counts first, then the others by weight.

    Locust gives them to its workers in turn. There is no public name for this order (locust.dispatch, 2.47).
    """
    named = sorted(user_classes, key=lambda user_class: user_class.name)
    fixed = [(user_class.name, user_class.fixed) for user_class in named if user_class.fixed]
    weighted = [(user_class.name, user_class.weight) for user_class in named if not user_class.fixed]
    yield from islice(_kl_generator(fixed), sum(count for _, count in fixed))
    if weighted:
        yield from (name for name in _kl_generator(weighted) if name)
