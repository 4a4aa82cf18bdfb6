"""Check with an exchange of two users that a server implements a dialect, by `python -m stampede check`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.errors import RunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from capacity.processes.child_processes import ChildProcesses

_NAME: Final = "the check of the server"
_TIMEOUT_S: Final = 180.0
_PROBLEM: Final = "PROBLEM"


@dataclass(frozen=True, slots=True)
class ExchangeOptions:
    """What to check.

    Attributes:
        host: WebSocket URL of the server.
        dialect: its dialect, as in `--dialect`.
        room: name of the room that the two users join.
        arguments: further options of the check.
    """

    host: str
    dialect: str
    room: str
    arguments: Sequence[str] = ()


def check_exchange(options: ExchangeOptions, *, folder: Path, checkout: Path, children: ChildProcesses) -> list[str]:
    """Let two users exchange messages with a server; return why the counts of a run would be wrong, if they would.

    The check runs as one of `children`, with its output in `folder`.

    Raises:
        UsageError: a step of the exchange failed, or an option is invalid.
        RunError: the check did not end in time.
    """
    command = [
        *(sys.executable, "-m", "stampede", "check", "--host", options.host),
        *("--dialect", options.dialect, "--room", options.room, *options.arguments),
    ]
    process = children.start(_NAME, command, output=folder / "check.log", cwd=checkout, cores=())
    code = process.wait(_TIMEOUT_S)
    if code is None:
        raise RunError(f"{_NAME} did not end within {_TIMEOUT_S:.0f} s")
    if code != 0:
        raise UsageError(process.last_line().rpartition("error: ")[2])
    return [line.removeprefix(_PROBLEM).strip() for line in process.output().splitlines() if line.startswith(_PROBLEM)]
