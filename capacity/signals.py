"""Ctrl-C and SIGTERM: turned into an exception while a run measures, deferred while it cleans up."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Final

from capacity.errors import ExitCode, InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_INTERRUPTS: Final = {
    signal.SIGINT: ("interrupted by Ctrl-C", ExitCode.INTERRUPTED),
    signal.SIGTERM: ("ended by SIGTERM", ExitCode.TERMINATED),
}


class Interrupts:
    """The signal handlers of the program. After the first signal, later ones are deferred until cleanup is done."""

    __slots__ = ("_received",)

    def __init__(self) -> None:
        self._received: int | None = None

    def enable(self) -> None:
        """Raise an exception on the next signal, or at once for a signal that was deferred.

        Raises:
            InterruptedRunError: now, or whenever a signal arrives.
        """
        for number in _INTERRUPTS:
            signal.signal(number, self._raise)
        if self._received is not None:
            self._raise(self._received, None)

    def defer(self) -> None:
        """Record signals from now on, until `enable` is called again."""
        for number in _INTERRUPTS:
            signal.signal(number, self._record)

    def _record(self, number: int, _frame: FrameType | None) -> None:
        self._received = number

    def _raise(self, number: int, _frame: FrameType | None) -> None:
        self.defer()
        text, code = _INTERRUPTS[signal.Signals(number)]
        raise InterruptedRunError(text, code)


@contextlib.contextmanager
def deferred_signals() -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM at the end of the block.

    The signals are not blocked: a process started in the block would inherit that, and another thread would receive
    them instead, so that Python would still run the handler within the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs handlers in the main thread only
        return
    received: list[int] = []
    handlers = {number: handler for number in _INTERRUPTS if (handler := signal.getsignal(number)) is not None}
    try:
        with contextlib.ExitStack() as restored:
            for number, handler in handlers.items():
                restored.callback(signal.signal, number, handler)
                signal.signal(number, lambda arrived, _frame: received.append(arrived))
            yield
    finally:
        for arrived in received[:1]:
            handler = handlers[signal.Signals(arrived)]
            if callable(handler):
                handler(
                    arrived, None
                )  # called directly: Python versions run it at different times after `raise_signal`
            else:
                signal.raise_signal(arrived)
