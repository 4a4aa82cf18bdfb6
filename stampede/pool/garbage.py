"""Keeps garbage collections rare and short: they stop the process, and would count as latency.

A full collection takes 0.3 s with 14 000 users (measured on one core of a shared machine), and the objects of users are
never garbage while these run. So they are exempted from later collections, also while users still start: the messages
that a collection of many users delays overload a server that is near its limit. Collections of new objects took a tenth
of the CPU at Python's default threshold, although messages make no cycles.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final

import gevent

if TYPE_CHECKING:
    from collections.abc import Sized

MIN_CONNECTIONS: Final = 500
"""With fewer connections a full collection is short."""

_POLL_SECONDS: Final = 0.25
_POLLS_TO_JOIN: Final = 20
"""A user makes its last objects when it joins its room, after its socket was opened."""

_NEW_OBJECTS: Final = 50_000
"""Number of new objects after which a collection runs."""


class GarbageFreezer:
    """Freezes the objects of a process's users while the number of their connections grows.

    Those of a connection that replaces another one are not frozen: they may be garbage later.

    Args:
        connections: all connections of the process.
    """

    __slots__ = ("_connections", "_task", "_threshold")

    def __init__(self, connections: Sized) -> None:
        self._connections = connections
        self._threshold = gc.get_threshold()
        self._task = gevent.spawn(self._run)

    def _run(self) -> None:
        most = polls_left = 0
        while True:
            gevent.sleep(_POLL_SECONDS)
            connections = len(self._connections)
            if connections < MIN_CONNECTIONS:
                most = polls_left = 0
                continue
            if connections > most:
                most, polls_left = connections, _POLLS_TO_JOIN
            if polls_left:
                polls_left -= 1
                gc.set_threshold(_NEW_OBJECTS)
                gc.freeze()

    def close(self) -> None:
        """Let the garbage collection consider all objects again, and as often as before."""
        self._task.kill()
        gc.set_threshold(*self._threshold)
        gc.unfreeze()
