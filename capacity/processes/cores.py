"""The assignment of cores to the server and the load generator."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores of the server and of the load generator. An empty tuple means not pinned."""

    server: tuple[int, ...]
    generator: tuple[int, ...]

    @classmethod
    def for_bundled_server(cls, usable: Sequence[int], workers: int = 1) -> Self:
        """Assign the last usable cores to the bundled server, one for each process, and the others to the generator.

        With too few cores, both sides use all of them.
        """
        if len(usable) < 2:
            return cls((), tuple(usable))
        if workers >= len(usable):
            return cls(tuple(usable), tuple(usable))
        return cls(tuple(usable[-workers:]), tuple(usable[:-workers]))

    @property
    def are_shared(self) -> bool:
        """Whether server and load generator run on the same cores."""
        return bool(self.server) and self.server == self.generator


def usable_cores() -> tuple[int, ...]:
    """Return the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def pin(cores: Sequence[int]) -> None:
    """Pin this thread and the processes that it starts to cores, if the system supports it and `cores` is not empty."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Pin this thread within the block, so that processes started there are pinned from their first instruction."""
    before = usable_cores()
    pin(cores)
    try:
        yield
    finally:
        pin(before)
