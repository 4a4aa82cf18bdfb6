"""What the live page shows now, shared by the threads of its process."""

from __future__ import annotations

import gzip
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from capacity.web.messages import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.web.messages import End


@dataclass(frozen=True, slots=True)
class Document:
    """A file that is served, and its compressed form."""

    content: bytes
    compressed: bytes

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the document with this content."""
        return cls(content, gzip.compress(content, mtime=0))


@dataclass(frozen=True, slots=True)
class Event:
    """A state of the page: its number, its JSON, and whether it is the last."""

    number: int
    data: bytes
    is_last: bool


class Board:
    """The state of the live page. Only the latest state is kept: a slow client misses those in between."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._number = 0
        self._progress = Progress("starting")
        self._problem = ""  # why the report is not up to date
        self._reports = 0
        self._ending: str | None = None
        self._page: Document | None = None
        self._data: Document | None = None

    def show_progress(self, progress: Progress) -> None:
        """Show what the run does now."""
        with self._changed:
            self._progress = progress
            self._change()

    def show_report(self, page: bytes, data: bytes) -> None:
        """Show a report, unless the run has ended: then its own last report stays."""
        documents = Document.of(page), Document.of(data)
        with self._changed:
            if self._ending is None:
                self._set_report(*documents)
                self._change()

    def show_problem(self, text: str) -> None:
        """Show why the latest report is missing."""
        with self._changed:
            self._problem = text
            self._change()

    def show_end(self, end: End) -> None:
        """Show that the run has ended, and its last report."""
        page = Document.of(end.page) if end.page is not None else None
        data = Document.of(end.data) if end.data is not None else None
        with self._changed:
            if page is not None and data is not None:
                self._set_report(page, data)
            self._ending = end.text
            self._change()

    @property
    def page(self) -> Document | None:
        """The latest `report.html`."""
        with self._changed:
            return self._page

    @property
    def data(self) -> Document | None:
        """The latest `report.json`."""
        with self._changed:
            return self._data

    def next_event(self, seen: int, timeout_s: float) -> Event | None:
        """Wait for a state after the one with the number `seen`; None after the timeout."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._number > seen, timeout_s):
                return None
            return Event(self._number, msgspec.json.encode(self._state()), self._ending is not None)

    def _set_report(self, page: Document, data: Document) -> None:
        self._page, self._data, self._problem = page, data, ""
        self._reports += 1

    def _change(self) -> None:
        self._number += 1
        self._changed.notify_all()

    def _state(self) -> dict[str, object]:
        """Return the state for the script of the page. Times are relative, since clocks of browsers differ."""
        progress = self._progress
        return {
            "activity": progress.activity,
            "phase": progress.phase,
            "phase_left_s": self._left_s(progress.phase_ends),
            "budget_left_s": self._left_s(progress.budget_ends),
            "figures": progress.figures,
            "report": self._reports,
            "problem": self._problem,
            "ended": self._ending,
        }

    def _left_s(self, ends: float | None) -> float | None:
        return None if ends is None else round(max(0.0, ends - self._clock()), 1)
