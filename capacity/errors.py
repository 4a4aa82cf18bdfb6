"""Exceptions of a capacity run, each with its exit code.

CapacityError            root; its text is one line for the terminal
+-- UsageError           an option, an SLO or the host is unusable (exit code 2)
+-- RunError             the server, the load generator or a connection failed during the run (exit code 98)
InterruptedRunError      Ctrl-C (exit code 130) or SIGTERM (143)

After a RunError or an InterruptedRunError the partial report is kept.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypeAlias


class ExitCode(IntEnum):
    """Documented exit codes of `python -m capacity`."""

    ANSWERED = 0
    USAGE = 2
    INVALID = 98
    LEVEL_FAILED = 99
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: Final = {
    ExitCode.ANSWERED: "answered, or the service levels were met at `--bounded` or in a drill",
    ExitCode.USAGE: "an option is invalid, or no server answers at `--host`",
    ExitCode.INVALID: "invalid: no level could be measured, or the server, the generator or the command of a drill "
    "failed; the report is kept",
    ExitCode.LEVEL_FAILED: "the service levels were not met at `--bounded` or in a drill",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C; the partial report is kept",
    ExitCode.TERMINATED: "stopped by SIGTERM; the partial report is kept",
}
"""What each exit code means, for documents."""


class CapacityError(Exception):
    """Root of the exceptions of this package."""

    exit_code = ExitCode.INVALID


class UsageError(CapacityError):
    """The request is invalid or cannot be carried out."""

    exit_code = ExitCode.USAGE


class RunError(CapacityError):
    """The server, the load generator or a connection failed during the run.

    Attributes:
        child_exit: exit code of the child process that ended; None if none did.
    """

    def __init__(self, text: str, child_exit: int | None = None) -> None:
        super().__init__(text)
        self.child_exit = child_exit


class InterruptedRunError(BaseException):
    """Ctrl-C or SIGTERM interrupted the run.

    As KeyboardInterrupt, it is no `Exception`: some libraries ignore each of those. `importlib.metadata` does.
    """

    def __init__(self, text: str, exit_code: ExitCode) -> None:
        super().__init__(text)
        self.exit_code = exit_code


Problem: TypeAlias = CapacityError | InterruptedRunError
"""What ends a run early."""
