"""Run a command in a terminal and keep what it shows."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from docs.terminal.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROWS: Final = 50
_CHUNK: Final = 65536


@dataclass(frozen=True, slots=True)
class Shown:
    """A screen, and how long after the start it was shown."""

    seconds: float
    lines: list[str]


def record(command: Sequence[str], *, columns: int) -> list[Shown]:
    """Return the screens of a command, one for each piece of output.

    Args:
        command: the program and its arguments.
        columns: width of its terminal.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    started = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        screen, shown = Screen(), []
        decoder = codecs.getincrementaldecoder("utf-8")()
        while output := _read(ours):
            screen.write(decoder.decode(output))
            shown.append(Shown(time.monotonic() - started, screen.lines()))
        os.close(ours)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return shown


def _read(terminal: int) -> bytes:
    """Return the next output, empty at its end: Linux reports a terminal without programs as an error."""
    try:
        return os.read(terminal, _CHUNK)
    except OSError:
        return b""
