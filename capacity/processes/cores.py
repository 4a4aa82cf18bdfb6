"""The assignment of cores to the server and the load generator."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMPETING_NOTE: Final = (
    "the server runs on this machine and has no core of its own: it competes with the load generator, so the result is "
    "the capacity of the machine, not of the server"
)


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server on this machine.

    Attributes:
        processes: number of processes that serve; 1 if the system does not show them, as for a container.
        cores: the cores they may run on; empty if unknown.
    """

    processes: int = 1
    cores: tuple[int, ...] = ()


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


def cores_beside(usable: Sequence[int], server: LocalServer | None) -> Cores:
    """Return the cores of the load generator: all usable ones, without those of a server on this machine.

    A pinned server keeps its cores. For a server that is not pinned, the last usable cores are reserved, one for each
    process; the system moves it there. If no core remains, both sides use all of them.
    """
    if server is None:
        return Cores((), tuple(usable))
    is_pinned = bool(server.cores) and not set(usable) <= set(server.cores)
    if is_pinned:
        remaining = tuple(core for core in usable if core not in server.cores)
        return Cores(server.cores, remaining) if remaining else Cores((), tuple(usable))
    remaining = tuple(usable[: -server.processes])
    return Cores((), remaining or tuple(usable))


def are_competing(usable: Sequence[int], cores: Cores) -> bool:
    """Return whether a server on this machine and the load generator share all cores."""
    return not cores.server and set(cores.generator) == set(usable)


def reserved_cores_note(usable: Sequence[int], cores: Cores) -> str:
    """Return a note that names the cores reserved for a server on this machine."""
    reserved = cores.server or [core for core in usable if core not in cores.generator]
    return f"the server runs on this machine: core {', '.join(map(str, reserved))} is reserved for it"
