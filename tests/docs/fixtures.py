"""The documentation site, built once by `make docs`; tests/conftest.py loads this through `pytest_plugins`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bs4 import BeautifulSoup


@dataclass(frozen=True, slots=True)
class BuiltSite:
    """A site in a folder."""

    folder: Path

    def pages(self) -> Iterator[tuple[Path, BeautifulSoup]]:
        """Yield the file of each page and its content."""
        from bs4 import BeautifulSoup  # noqa: PLC0415 - this module is loaded for every test, also without Sphinx

        for path in sorted(self.folder.rglob("*.html")):
            yield path, BeautifulSoup(path.read_text(), "html.parser")


def make_docs(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site into a folder by the verb of the Makefile."""
    programs = Path(sys.executable).parent
    command = ["make", "--old-file=install", "--no-print-directory", f"BIN={programs}", f"DOCS={folder}", "docs"]
    environment = {name: value for name, value in os.environ.items() if name not in {"ARGS", "MAKEFLAGS"}}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def documentation(tmp_path_factory: pytest.TempPathFactory) -> BuiltSite:
    """Return the built site."""
    folder = tmp_path_factory.mktemp("documentation") / "site"
    done = make_docs(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return BuiltSite(folder)
