"""The command line and the checkout of this program."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent.parent
"""Folder that contains `server`, `loadtest` and `capacity`."""


def command_line(*command: str) -> str:
    """Return `PYTHON -m command...` with the name of Python that started this program, e.g. `.venv/bin/python`."""
    return shlex.join([sys.orig_argv[0], "-m", *command])
