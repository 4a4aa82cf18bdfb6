"""Virtual environments for servers whose packages contradict those of the project."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from benchmarks.package_cache import install_once
from benchmarks.processes import BenchmarkError
from tests.virtual_environments import VirtualEnvironment

if TYPE_CHECKING:
    from pathlib import Path


def python_with(source: Path) -> Path:
    """Return the Python of an environment with the packages of a folder's `requirements.txt`, installed once.

    Raises:
        BenchmarkError: pip failed, such as without a network.
    """
    requirements = source / "requirements.txt"

    def install(home: Path) -> None:
        shutil.rmtree(home / "venv", ignore_errors=True)
        VirtualEnvironment.create(home / "venv").install("--no-deps", "--requirement", str(requirements))

    try:
        home = install_once(source.name, requirements.read_bytes(), install)
    except AssertionError as problem:
        raise BenchmarkError(f"pip could not install {source.name}: {str(problem).strip().splitlines()[-1]}") from None
    return VirtualEnvironment(home / "venv").python
