"""`python -m stampede check` and `python -m stampede dialects`.

They need no Locust, except for its HTTP client: a dialect may declare HTTP requests. Locust then patches the standard
library, so it must be imported before everything that uses TLS. Hence the late imports.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from stampede.dialect_registry import load_dialect
from stampede.errors import StampedeError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    sys.path.insert(0, str(Path.cwd()))  # for --dialect module:Class; the installed script does not search there
    make_steps = import_module("stampede.locust.http_steps").check_steps if _makes_http_requests(given) else None
    code: int = import_module("stampede.check.cli").run(given, make_steps)
    return code


def _makes_http_requests(arguments: Sequence[str]) -> bool:
    """Return whether the dialect of a command declares HTTP requests."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--dialect")
    dialect = parser.parse_known_args(arguments)[0].dialect
    try:
        return dialect is not None and load_dialect(dialect).http_steps is not None
    except StampedeError:  # the command itself says so
        return False


if __name__ == "__main__":
    sys.exit(main())
