"""The server on a faulty disk: `python -m tests.disks FAULT VALUE [settings]`.

Faults:
- `slow SECONDS`: each write takes this long, and fails on the event loop's thread;
- `shut FILE`: no write ends before this file exists;
- `small BYTES`: no file can grow beyond this size;
- `hung FILE`: reading the folder never ends; this file is created when it starts.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from server.app import run
from server.settings import parse
from server.uploads.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Callable

_write = os.pwrite


def _slow(seconds: float) -> Callable[[int, memoryview, int], int]:
    def write(file: int, data: memoryview, offset: int) -> int:
        assert threading.current_thread() is not threading.main_thread(), "the event loop waits for the disk"
        time.sleep(seconds)
        return _write(file, data, offset)

    return write


def _shut(key: Path) -> Callable[[int, memoryview, int], int]:
    def write(file: int, data: memoryview, offset: int) -> int:
        while not key.exists():
            time.sleep(0.01)
        return _write(file, data, offset)

    return write


def _hung(sign: Path) -> Callable[[Folder], None]:
    def read_on_and_on(_folder: Folder) -> None:
        sign.touch()
        threading.Event().wait()

    return read_on_and_on


def main() -> int:
    """Install the fault, then run the server."""
    fault, value, *settings = sys.argv[1:]
    if fault == "slow":
        os.pwrite = _slow(float(value))  # type: ignore[assignment]
    elif fault == "shut":
        os.pwrite = _shut(Path(value))  # type: ignore[assignment]
    elif fault == "hung":
        Folder.remove_leftovers = _hung(Path(value))  # type: ignore[method-assign, assignment]
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(value), int(value)))
    return run(parse(settings, os.environ), settings)


if __name__ == "__main__":
    sys.exit(main())
