"""Sample Python processes with py-spy.

py-spy reads the memory of the running process (`--nonblocking`). By default, it stops all threads of the process for
each sample instead. A server with 40 waiting threads on one core then lost 36 to 79 % of its throughput, and the
threads that py-spy had woken hid the busy one; without stops neither was measurable.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from capacity.errors import RunError
from capacity.profile.sampler import ProfileError, process_name, working_directory
from capacity.profile.stacks import parse_collapsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psutil

    from capacity.processes.child_processes import ChildProcesses
    from capacity.processes.process import ChildProcess
    from capacity.profile.stacks import Profile

NOT_INSTALLED: Final = "py-spy is not installed: .venv/bin/pip install py-spy"

_RATE: Final = 100
_TIMEOUT_S: Final = 10.0
_ATTACHED: Final = "Sampling process"
_PTRACE_SCOPE: Final = Path("/proc/sys/kernel/yama/ptrace_scope")


class PySpySampler:
    """Samples one process with a py-spy of its own, which therefore reports its own error."""

    __slots__ = ("_spy", "_stacks", "_target")

    def __init__(self, target: psutil.Process, spy: ChildProcess, stacks: Path) -> None:
        self._target = target
        self._spy = spy
        self._stacks = stacks

    @classmethod
    def start(
        cls, target: psutil.Process, seconds: float, *, folder: Path, children: ChildProcesses, cores: Sequence[int]
    ) -> Self:
        """Start py-spy as one of `children` on some cores, with its files in `folder`; return once it samples.

        Raises:
            ProfileError: it is not installed, or cannot sample the process.
        """
        program = find_py_spy()
        if program is None:
            raise ProfileError(NOT_INSTALLED)
        stacks = folder / f"py-spy-{target.pid}.txt"
        stacks.unlink(missing_ok=True)
        command = [
            *(program, "record", "--pid", str(target.pid), "--nonblocking", "--rate", str(_RATE)),
            *("--duration", f"{seconds:.0f}", "--format", "raw", "--full-filenames", "--output", str(stacks)),
        ]
        spy = children.start("py-spy", command, output=stacks.with_suffix(".log"), cwd=folder, cores=cores)
        try:
            spy.wait_until(
                lambda: True if _ATTACHED in spy.output() else None, timeout_s=_TIMEOUT_S, what="sample the server"
            )
        except RunError as error:
            spy.end()
            raise ProfileError(_reason(spy.output(), str(error), target)) from None
        return cls(target, spy, stacks)

    def finish(self) -> Profile:
        """Wait for py-spy and return its samples.

        Raises:
            ProfileError: it did not sample the process.
        """
        self._spy.wait(_TIMEOUT_S)
        self.close()
        if not self._stacks.exists():
            raise ProfileError(f"py-spy wrote no samples of {process_name(self._target)}")
        text = self._stacks.read_text(errors="replace")
        return parse_collapsed(text, folder=working_directory(self._target), sample_ms=1000 / _RATE)

    def close(self) -> None:
        """End py-spy."""
        self._spy.end()


def find_py_spy() -> str | None:
    """Return the path of py-spy, beside this Python or on PATH; None if it is not installed."""
    beside = Path(sys.executable).parent / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")


def _reason(output: str, error: str, target: psutil.Process) -> str:
    """Return why py-spy cannot sample a process, and what would help."""
    name = process_name(target)
    lowered = output.lower()
    if "permission denied" in lowered or "operation not permitted" in lowered:
        return f"no permission to read the memory of {name}: {_permission_remedy()}"
    if "python version" in lowered:
        return f"{name} runs neither Python nor Node.js; a system profiler such as perf can profile it"
    first = next((line for line in output.splitlines() if line.startswith("Error: ")), error)
    return f"py-spy cannot sample {name}: {first.removeprefix('Error: ')}"


def _permission_remedy() -> str:
    remedy = "run as its user or as root, in a container with the capability SYS_PTRACE"
    try:
        scope = _PTRACE_SCOPE.read_text().strip()
    except OSError:
        return remedy
    return remedy if scope == "0" else f"{remedy}, or after sysctl kernel.yama.ptrace_scope=0 (it is {scope})"
