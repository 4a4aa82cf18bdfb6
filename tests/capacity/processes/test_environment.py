from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from capacity.processes.cores import Cores
from capacity.processes.environment import describe

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with one committed file."""
    git(tmp_path, "init")
    (tmp_path / "file").write_text("a")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--message", "Add a file")
    return tmp_path


def revision(checkout: Path) -> str | None:
    return describe(Cores((), ()), 1, 0.0, checkout).revision


def test_the_revision_says_whether_files_differ_from_it(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "--short=12", "HEAD").strip()
    (checkout / "other").write_text("not in the repository")
    assert revision(checkout) == commit
    (checkout / "file").write_text("b")
    assert revision(checkout) == f"{commit}-dirty"
    git(checkout, "add", "file")
    assert revision(checkout) == f"{commit}-dirty"


def test_no_revision_outside_a_checkout(tmp_path: Path) -> None:
    assert revision(tmp_path) is None


def test_the_repository_is_not_written(checkout: Path) -> None:
    """A git that is killed while it writes leaves a lock file, with which no further commit is possible."""
    os.utime(checkout / "file", (0, 0))  # git would note the new time
    before = (checkout / ".git" / "index").read_bytes()
    assert revision(checkout) is not None
    assert (checkout / ".git" / "index").read_bytes() == before
