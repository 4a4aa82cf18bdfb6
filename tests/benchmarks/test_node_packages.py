from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.node_packages import PLAIN, install, missing_tools
from benchmarks.processes import BenchmarkError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("plain_peer_command")
def test_a_second_install_only_refreshes_the_copy() -> None:
    server = install()
    modules = server.parent / "node_modules"
    before = modules.stat().st_mtime_ns
    assert install() == server
    assert modules.stat().st_mtime_ns == before
    assert server.read_bytes() == (PLAIN / "server.mjs").read_bytes()
    assert not (server.parent / "package-lock.json").exists()


def test_a_missing_tool_is_reported_with_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    problem = missing_tools()
    assert problem is not None
    assert problem.startswith("node and npm not found: install Node.js")
    assert "\n" not in problem
    with pytest.raises(BenchmarkError, match="install Node"):
        install()
