"""Runs of pytest in processes of their own, with the plugin of the library."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MODULE = "stampede.pytest_plugin"
# An environment that was installed before the plugin existed has no entry point yet.
INSTALLED = any(point.value == MODULE for point in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", MODULE)


# The lag of a busy machine would make a run invalid.
TOLERANT = "from stampede.health import limits\nlimits.RUN_LAG_NS = 60_000_000_000\n"


@dataclass(frozen=True)
class PytestRun:
    """The result of a run: its exit code and output."""

    code: int
    out: str

    @property
    def outcomes(self) -> dict[str, int]:
        """The counts in the last line, such as `{"passed": 2}`."""
        last = self.out.rstrip().rpartition("\n")[2]
        return {what: int(number) for number, what in re.findall(r"(\d+) (passed|failed|errors?|warnings?)", last)}


def run_pytest(folder: Path, *arguments: str, conftest: str = "", tolerant: bool = True, **files: str) -> PytestRun:
    """Write test files, given as `name="content"`, and run them.

    Args:
        folder: where.
        arguments: of pytest.
        conftest: content of conftest.py.
        tolerant: whether the load generator may lag.
        files: other modules by name, without `.py`.
    """
    for name, content in {"conftest": (TOLERANT if tolerant else "") + conftest, **files}.items():
        (folder / f"{name}.py").write_text(content)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "STAMPEDE_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return PytestRun(done.returncode, done.stdout + done.stderr)
