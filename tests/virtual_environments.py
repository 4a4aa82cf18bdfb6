"""Virtual environments for tests, built once for all test processes of a run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
TIMEOUT = 200


@dataclass(frozen=True)
class VirtualEnvironment:
    """A virtual environment without pip, the packages of this one, and the checkout."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Self:
        venv.create(folder, with_pip=False, symlinks=True)
        return cls(folder)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, *arguments: str, folder: Path = ROOT) -> None:
        """Run `pip install` with these arguments in a folder."""
        self._pip("install", "--no-compile", *arguments, folder=folder)

    def packages(self) -> set[str]:
        """Return the names of the installed packages, in lower case."""
        listed = json.loads(self._pip("list", "--format", "json", folder=self.folder))
        return {package["name"].lower().replace("_", "-") for package in listed}

    def run(self, *command: str, folder: Path, program: str = "python") -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in a folder."""
        return subprocess.run(
            [self.folder / "bin" / program, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def importable(self, *modules: str, folder: Path) -> set[str]:
        """Return which of these top-level modules Python finds in a folder and the environment."""
        code = "import sys; from importlib.util import find_spec; print(*filter(find_spec, sys.argv[1:]))"
        done = self.run("-c", code, *modules, folder=folder)
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split())

    def _pip(self, *arguments: str, folder: Path) -> str:
        return _run(*PIP, "--python", str(self.python), *arguments, folder=folder)


def build_wheel(source: Path, folder: Path) -> None:
    """Build the wheel of a source tree into a folder."""
    _run(*PIP, "wheel", "--no-deps", "--wheel-dir", str(folder), str(source), folder=folder.parent)


def shared_folder(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """Return a folder that all test processes share; the first one that asks for it builds it."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, complete = root / name, root / f"{name}.complete"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            complete.touch()
    return folder


def _run(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
