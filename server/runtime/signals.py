"""Names of the signals that stop the server, and the lines printed about them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Final

SIGNAL_NAMES: Final = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
"""The signals that stop the server, with the names used in messages."""


def write_line(line: str) -> None:
    """Write a line to stdout, unbuffered. Errors are ignored: the reader of stdout may have ended."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


class ExitSignals:
    """SIGINT and SIGTERM: the first one requests a graceful shutdown, the second one ends it at once.

    Attributes:
        should_exit: set by the first signal.
        force_exit: set by the second signal.
        name: of the last signal.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.should_exit = asyncio.Event()
        self.force_exit = asyncio.Event()
        self.name = ""
        for number, name in SIGNAL_NAMES.items():
            loop.add_signal_handler(number, self._handle, name)

    def _handle(self, name: str) -> None:
        if self.should_exit.is_set():
            self.force_exit.set()
        self.name = name
        self.should_exit.set()
