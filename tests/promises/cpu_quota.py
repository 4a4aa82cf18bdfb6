"""A control group (version 1) with a CPU quota."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Self

_GROUPS = Path("/sys/fs/cgroup/cpu")
_PERIOD_US = 100_000


def problem() -> str:
    """Return the reason why this machine cannot limit CPU, in one line, or an empty string."""
    if not (_GROUPS / "cpu.cfs_quota_us").exists():
        return f"no control groups of version 1 at {_GROUPS}"
    return "" if os.access(_GROUPS, os.W_OK) and os.geteuid() == 0 else f"{_GROUPS} is not writable"


class CpuQuota:
    """A control group; it is removed with the block, once its processes have ended."""

    def __init__(self) -> None:
        self._group = _GROUPS / f"stampede-test-{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> Self:
        self._group.mkdir()
        return self

    def __exit__(self, *_exc: object) -> None:
        while (self._group / "cgroup.procs").read_text():
            time.sleep(0.05)
        self._group.rmdir()

    @property
    def enter(self) -> list[str]:
        """The command that runs another one in the group."""
        return ["sh", "-c", f'echo $$ > {self._group}/cgroup.procs; exec "$@"', "sh"]

    def add(self, pid: int) -> None:
        """Move a process into the group."""
        (self._group / "cgroup.procs").write_text(str(pid))

    def limit(self, cores: float) -> None:
        """Limit the CPU of the group."""
        (self._group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (self._group / "cpu.cfs_quota_us").write_text(str(round(cores * _PERIOD_US)))
