"""The chat client without a browser: its tests under Node, and its types under TypeScript."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.settings import Settings
from server.websocket.rate_limit import BURST_SECONDS
from tests.tables import ROOT, rows
from tests.web.fixtures import NODE

if TYPE_CHECKING:
    from collections.abc import Iterator

WEB = ROOT / "server" / "web"


@contextmanager
def copied_client(node_home: Path) -> Iterator[Path]:
    """Copy the client and its tests into the folder of the npm packages."""
    with tempfile.TemporaryDirectory(dir=node_home, prefix="run-") as folder:
        shutil.copytree(WEB, Path(folder) / "web")
        for file in NODE.iterdir():
            if file.suffix in (".mjs", ".ts"):
                shutil.copy(file, folder)
        yield Path(folder)


@pytest.mark.parametrize("subject", ["client", "faults", "minimal", "health", "token", "upload"])
def test_the_client_passes_its_tests_under_node(node_home: Path, tmp_path: Path, subject: str) -> None:
    environment = {
        "STAMPEDE_PYTHON": sys.executable,
        "STAMPEDE_ROOT": str(ROOT),
        "STAMPEDE_UPLOADS": str(tmp_path / "uploads"),
        "STAMPEDE_MESSAGE_RATE": str(Settings().message_rate),
        "STAMPEDE_BURST": str(BURST_SECONDS * Settings().message_rate),
    }
    with copied_client(node_home) as folder:
        done = subprocess.run(
            ["node", "--test", f"{subject}.test.mjs"],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# skipped 0" in done.stdout or "ℹ skipped 0" in done.stdout  # noqa: RUF001 - printed by Node
    assert "# fail 0" in done.stdout or "ℹ fail 0" in done.stdout  # noqa: RUF001 - printed by Node


def test_typescript_accepts_the_declarations(node_home: Path) -> None:
    with copied_client(node_home) as folder:
        done = subprocess.run(
            [
                "node",
                str(node_home / "node_modules" / "typescript" / "bin" / "tsc"),
                *("--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"),
                "use.ts",
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
    assert done.returncode == 0, done.stdout


def test_the_readme_lists_every_file() -> None:
    listed = [name for name, _ in rows("server/web/README.md", "## Files")]
    assert sorted(listed) == sorted(file.name for file in WEB.iterdir() if file.suffix in (".js", ".ts"))
