"""What can end a capacity run early, each with its exit code.

CapacityError            root; its text is one line for the person at the terminal
+-- UsageError           a flag, a service level or a host is unusable (exit code 2)
+-- RunError             a process or a connection under us gave way in mid-run (exit code 98, partial report kept)
+-- StoppedError         somebody asked us to stop: Ctrl-C (130) or SIGTERM (143); partial report kept
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Documented exit codes of `python -m capacity`."""

    ANSWERED = 0
    USAGE = 2
    INVALID = 98
    LEVEL_FAILED = 99
    INTERRUPTED = 130
    TERMINATED = 143


class CapacityError(Exception):
    """Root of the exceptions that this package raises on purpose."""

    exit_code = ExitCode.INVALID


class UsageError(CapacityError):
    """What the person asked for cannot be done as asked."""

    exit_code = ExitCode.USAGE


class RunError(CapacityError):
    """Something that the run depends on gave way: the server, the load generator, a port.

    Attributes:
        child_exit: exit code of the process of ours that ended, where that was it.
    """

    def __init__(self, text: str, child_exit: int | None = None) -> None:
        super().__init__(text)
        self.child_exit = child_exit


class StoppedError(CapacityError):
    """Somebody asked the run to stop."""

    def __init__(self, text: str, exit_code: ExitCode) -> None:
        super().__init__(text)
        self.exit_code = exit_code
