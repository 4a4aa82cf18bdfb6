"""Tables of the exit codes."""

from __future__ import annotations

from capacity.errors import MEANINGS
from docs.extension.markdown import code, table
from stampede.verdict.summary import EXIT_CODES


def capacity_run() -> str:
    """Return the exit codes of a capacity run."""
    return table(("code", "meaning"), ((code(int(one)), text) for one, text in MEANINGS.items()))


def load_test() -> str:
    """Return the exit codes of a load test."""
    return table(("code", "meaning"), ((code(one), text) for one, text in EXIT_CODES.items()))
