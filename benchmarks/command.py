"""The command line of a benchmark: its parser, and errors as one line."""

from __future__ import annotations

import argparse
import sys
from functools import wraps
from typing import TYPE_CHECKING

from benchmarks.processes import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def command_parser(module: str, document: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help names the module and starts with the first line of its documentation."""
    description = (document or "").partition("\n")[0]
    return argparse.ArgumentParser(prog=f"{sys.orig_argv[0]} -m {module}", description=description)


def with_exit_code(main: Callable[[Sequence[str] | None], None]) -> Callable[[Sequence[str] | None], int]:
    """Let a command return 0, or 2 after one line on stderr for a `BenchmarkError` or an `OSError`."""

    @wraps(main)
    def run(arguments: Sequence[str] | None = None) -> int:
        try:
            main(arguments)
        except (BenchmarkError, OSError) as problem:
            print(problem, file=sys.stderr)
            return 2
        return 0

    return run
