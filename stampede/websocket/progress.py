"""Waiting of a greenlet for a condition that callbacks in the hub change."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from gevent.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable


class Progress:
    """Lets one greenlet at a time wait for conditions."""

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        self._changed: Event | None = None

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Let other greenlets run until `condition` holds, `timeout` seconds at most; return whether it holds."""
        deadline = monotonic() + timeout
        while not condition() and monotonic() < deadline:
            self._changed = Event()
            self._changed.wait(deadline - monotonic())
        self._changed = None
        return condition()

    def notify(self) -> None:
        """Let the waiting greenlet check its condition."""
        if self._changed is not None:
            self._changed.set()
