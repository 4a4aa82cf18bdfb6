"""Ctrl-C and SIGTERM: heeded while something is measured, remembered while its report is written."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from capacity.errors import ExitCode, StoppedError

if TYPE_CHECKING:
    from types import FrameType

_STOPS: Final = {
    signal.SIGINT: ("interrupted by Ctrl-C", ExitCode.INTERRUPTED),
    signal.SIGTERM: ("ended by SIGTERM", ExitCode.TERMINATED),
}


class Stops:
    """What came so far; nobody's impatience keeps us from ending what we started and writing the report."""

    __slots__ = ("_came",)

    def __init__(self) -> None:
        self._came: int | None = None

    def heed(self) -> None:
        """Stop from now on, once; and at once for what came while it was only remembered.

        Raises:
            StoppedError: now, or whenever a signal comes.
        """
        for number in _STOPS:
            signal.signal(number, self._stop)
        if self._came is not None:
            self._stop(self._came, None)

    def remember(self) -> None:
        """Keep what comes from now on until stops are heeded again."""
        for number in _STOPS:
            signal.signal(number, self._keep)

    def _keep(self, number: int, _frame: FrameType | None) -> None:
        self._came = number

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.remember()
        text, code = _STOPS[signal.Signals(number)]
        raise StoppedError(text, code)
