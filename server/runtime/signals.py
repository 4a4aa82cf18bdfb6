"""What a person is told who stops the server, and how."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Final

SIGNAL_NAMES: Final = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
"""The signals that end the server, as a person knows them."""


def write_line(line: str) -> None:
    """Write a line to stdout without its buffer: the reader of the first lines may be gone."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.write(sys.stdout.fileno(), f"{line}\n".encode())
