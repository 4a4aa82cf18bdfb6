"""Start real capacity runs as processes, and check that they end all of their processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import pytest

from capacity.record.report import read_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from capacity.record.report import RunReport

_MARK = "STAMPEDE_TEST_RUN"
_LONGEST_S = 200


@dataclass
class Run:
    """A run in progress or finished; its processes have its mark in their environment."""

    process: subprocess.Popen[str]
    folder: Path
    mark: str
    errors: str = ""
    output: str = ""

    def await_first_verdict(self) -> None:
        """Read the run's output up to its first step."""
        self.await_verdict("")

    def await_verdict(self, text: str) -> None:
        """Read the run's output up to the first step whose line contains the text."""
        self.await_line(" users  ", text)

    def await_line(self, *texts: str) -> None:
        """Read the run's output up to the first line that contains all of the texts."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if all(text in line for text in texts):
                return
        pytest.fail(f"the run ended before that line: {self.wait()}")

    def child(self, module: str) -> psutil.Process:
        """Return the child process that runs a module."""
        for process in psutil.Process(self.process.pid).children():
            if process.cmdline()[1:3] == ["-m", module]:
                return process
        return pytest.fail(f"no {module} among the run's processes")

    def wait(self) -> int:
        """Wait for the exit code, and check that all of its processes have ended."""
        self.output, self.errors = self.process.communicate(timeout=_LONGEST_S)
        assert self.left_behind() == []
        return self.process.returncode

    def left_behind(self) -> list[psutil.Process]:
        """Return the processes of the run that still exist after at most 30 s."""
        deadline = time.monotonic() + 30
        while (left := list(self._marked())) and time.monotonic() < deadline:
            psutil.wait_procs(left, timeout=0.1)
        return left

    def _marked(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except psutil.Error:
                continue

    @property
    def error(self) -> str:
        """Its output on stderr: one line, never a traceback."""
        lines = self.errors.splitlines()
        assert len(lines) == 1, self.errors
        return lines[0]

    @property
    def runs(self) -> list[str]:
        """The content of its folder of saved runs."""
        return sorted((path.name for path in (self.folder.parent.parent / "runs").iterdir()), reverse=True)

    @property
    def revision(self) -> str:
        """The git revision of its report, abbreviated as in its saved folder."""
        return (self.report.environment.revision or "unknown")[:9]

    @property
    def report(self) -> RunReport:
        """Its `report.json`, after a check that `report.html` exists too."""
        assert (self.folder / "report.html").stat().st_size > 5000
        return read_report(self.folder / "report.json")


@pytest.fixture
def capacity(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start `python -m capacity` with options, if given through another program or in another directory.

    `command` is one of its commands, such as `drill`.
    """
    runs: list[Run] = []
    runs_folder = str(tmp_path / "runs")

    def start(*flags: str, through: Sequence[str] = (), cwd: Path | None = None, command: str = "") -> Run:
        mark = uuid.uuid4().hex
        folder = tmp_path / mark / "report"
        options = [*([command] if command else []), "--report", str(folder), "--runs", runs_folder]
        process = subprocess.Popen(
            [*through, sys.executable, "-m", "capacity", *options, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=os.environ | {_MARK: mark},
        )
        runs.append(Run(process, folder, mark))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            run.wait()
