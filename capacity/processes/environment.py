"""Describe the machine and the software of a run."""

from __future__ import annotations

import contextlib
import platform
import resource
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from capacity.record.report import Environment

if TYPE_CHECKING:
    from capacity.processes.cores import Cores

_LIBRARIES: Final = ("websockets", "uvloop", "locust", "gevent", "msgspec", "prometheus-client")


def describe(cores: Cores, processes: int, started_at: float, checkout: Path) -> Environment:
    """Return the environment of a run that started at `started_at`, in seconds since the epoch."""
    return Environment(
        started_at=datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds"),
        host=platform.node(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu_model=_cpu_model(),
        cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        libraries=_versions(),
        revision=_revision(checkout),
        server_cores=list(cores.server) or None,
        generator_cores=list(cores.generator) or None,
        generator_processes=processes,
        file_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )


def _cpu_model() -> str | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _versions() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _revision(checkout: Path) -> str | None:
    """Return the git revision, with `-dirty` if files differ from it; None outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    # `git describe --dirty` would write the index. Ctrl-C kills git, and its lock would prevent further commits.
    commit = _output(git, "-C", str(checkout), "describe", "--always", "--abbrev=12")
    status = ("--no-optional-locks", "-C", str(checkout), "status", "--porcelain", "--untracked-files=no")
    return commit and commit + ("-dirty" if _output(git, *status) else "")


def _output(*command: str) -> str | None:
    """Return the output of a command; None if there is none."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    return done.stdout.strip() or None
