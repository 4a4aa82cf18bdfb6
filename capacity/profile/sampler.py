"""What the profilers of the supported runtimes have in common."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

import psutil

if TYPE_CHECKING:
    from capacity.profile.stacks import Profile


class ProfileError(Exception):
    """A process cannot be profiled; the text says why, and what would help."""


class Sampler(Protocol):
    """Samples one process, from its creation on."""

    def finish(self) -> Profile:
        """Return the samples once the time is over.

        Raises:
            ProfileError: the process cannot be profiled, or has ended.
        """

    def close(self) -> None:
        """End the profiler."""


def process_name(process: psutil.Process) -> str:
    """Return the name of a process and its id, for messages."""
    with contextlib.suppress(psutil.Error):
        return f"{process.name()} (process {process.pid})"
    return f"process {process.pid}"


def working_directory(process: psutil.Process) -> str:
    """Return the working directory of a process; empty if this user may not read it."""
    with contextlib.suppress(psutil.Error):
        return process.cwd()
    return ""
