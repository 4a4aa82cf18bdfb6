"""The commands `python -m stampede check` and `python -m stampede dialects`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from stampede.check import command
from stampede.check.dialect_table import table
from stampede.dialect_registry import PROVEN_ON, load_dialect, names
from stampede.errors import StampedeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.check.command import StepsFactory

_PROGRAM: Final = "stampede"
_USAGE_ERROR: Final = 2
_INTERRUPTED: Final = 130


def run(arguments: Sequence[str], make_steps: StepsFactory | None) -> int:
    """Run a command; return the exit code.

    Args:
        arguments: of the command line.
        make_steps: makes the HTTP requests that the dialect declares; None if it declares none.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "dialects":
            return _print_dialects()
        return command.run(options, make_steps)
    except (command.CommandError, StampedeError) as error:
        print(f"{_PROGRAM} {options.command}: error: {error}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Load tests for chat servers: check a server.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command.add_arguments(commands.add_parser("check", help="let two users exchange messages with a server"))
    commands.add_parser("dialects", help="list the dialects with what each supports")
    return parser


def _print_dialects() -> int:
    """Print the table of the dialects; one that cannot be loaded is an error."""
    print("\n".join(table({name: load_dialect(name) for name in names()}, PROVEN_ON)))
    return 0
