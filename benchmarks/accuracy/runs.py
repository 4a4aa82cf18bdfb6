"""Run `python -m capacity`, compare its interval with a known limit, and print the result."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from capacity.record.report import read_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.record.report import RunReport

WITHIN = 0.15


def capacity(*flags: str, meanwhile: Callable[[subprocess.Popen[str]], None] | None = None) -> tuple[int, RunReport]:
    """Run `python -m capacity`; keep its report in a new folder below `STAMPEDE_PROOFS`, if that is set."""
    kept = os.environ.get("STAMPEDE_PROOFS")
    with contextlib.ExitStack() as stack:
        if kept:
            Path(kept).mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(prefix=time.strftime("%H%M%S-"), dir=kept)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="stampede-accuracy-"))
        command = [sys.executable, "-m", "capacity", "--report", folder, "--runs", "", *flags]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
        thread = threading.Thread(target=meanwhile, args=(process,)) if meanwhile else None
        if thread:
            thread.start()
        process.communicate(timeout=900)
        if thread:
            thread.join()
        return process.returncode, read_report(Path(folder) / "report.json")


def is_near(report: RunReport, truth: float) -> bool:
    """Return whether both ends of the interval are within the tolerance of the truth."""
    ends = (report.answer.supported_users, report.answer.first_failing_users)
    return all(end is not None and abs(end / truth - 1) <= WITHIN for end in ends)


def print_row(name: str, truth: str, found: str, *, good: bool) -> bool:
    print(f"{'ok  ' if good else 'FAIL'}  {name:34} truth {truth:>10}   found {found}", flush=True)
    return good
