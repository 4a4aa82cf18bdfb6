"""Work that blocks, in order: one connection's disk jobs, one after the other, each in some thread."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class RunInThread(Protocol):
    """Do some work in a thread, then call back in the event loop's with what came of it."""

    def __call__(self, work: Callable[[], T], done: Callable[[T | BaseException], None], /) -> None: ...


class Lane:
    """Do jobs in their order; a job's callback runs before the next job begins, and may so call it off.

    Args:
        run_in_thread: does one job.
    """

    __slots__ = ("_jobs", "_run_in_thread")

    def __init__(self, run_in_thread: RunInThread) -> None:
        self._run_in_thread = run_in_thread
        self._jobs: deque[tuple[Callable[[], Any] | None, Callable[[Any], None]]] = deque()

    @property
    def depth(self) -> int:
        """Jobs not done yet, the one whose callback is running included."""
        return len(self._jobs)

    def add(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """Do `work` in a thread when its turn comes, then call back with its result or its exception."""
        self._append(work, done)

    def then(self, act: Callable[[], None]) -> None:
        """Call back when everything added so far is done; at once if it is."""
        if self._jobs:
            self._append(None, lambda _: act())
        else:
            act()

    def _append(self, work: Callable[[], Any] | None, done: Callable[[Any], None]) -> None:
        self._jobs.append((work, done))
        if len(self._jobs) == 1:
            self._begin()

    def _begin(self) -> None:
        while self._jobs:
            work, _ = self._jobs[0]
            if work is not None:
                self._run_in_thread(work, self._finished)
                return
            self._settle(None)

    def _finished(self, outcome: Any) -> None:
        try:
            self._settle(outcome)
        finally:
            self._begin()

    def _settle(self, outcome: Any) -> None:
        _, done = self._jobs[0]
        try:
            done(outcome)
        finally:
            self._jobs.popleft()  # only now: what the callback adds must wait
