"""How this program was started, for hints that a person can paste."""

from __future__ import annotations

import shlex
import sys


def as_started(*command: str) -> str:
    """Return a command of this environment's Python, by the name it was started by: `.venv/bin/python -m capacity`."""
    return shlex.join([sys.orig_argv[0], "-m", *command])
