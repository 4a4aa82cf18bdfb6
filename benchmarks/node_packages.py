"""Install the npm packages of servers and generators that run on Node.

The packages are installed once into `.cache/peers/NAME`, so that the checkout stays clean.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from benchmarks.package_cache import CACHE, install_once, locked
from benchmarks.processes import LOOPBACK, ROOT, BenchmarkError

if TYPE_CHECKING:
    from pathlib import Path

PLAIN: Final = ROOT / "benchmarks" / "servers" / "plain"
SHARED: Final = "chat.mjs"
"""The module that the Node servers share; it is copied beside their folders."""

_INSTALL: Final = [
    "npm",
    "install",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-package-lock",
    "--silent",
    "--prefix",
]


def missing_tools() -> str | None:
    """Return one line that names the programs to install before a Node server can run, or None if all are installed."""
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if not missing:
        return None
    return f"{' and '.join(missing)} not found: install Node.js (Debian: apt-get install nodejs npm)"


def packages(source: Path) -> Path:
    """Install the packages of a folder's `package.json` into the cache, and return the folder there.

    Raises:
        BenchmarkError: Node is missing, or npm failed.
    """
    problem = missing_tools()
    if problem:
        raise BenchmarkError(problem)
    manifest = (source / "package.json").read_bytes()

    def install_into(home: Path) -> None:
        (home / "package.json").write_bytes(manifest)
        _npm_install(home)

    return install_once(source.name, manifest, install_into)


def install(source: Path = PLAIN, program: str = "server.mjs") -> Path:
    """Install a folder of Node programs into the cache; a second call only refreshes the copies.

    Returns: The path of the program there.

    Raises:
        BenchmarkError: as `packages` does.
    """
    home = packages(source)
    with locked(home):
        for module in (*source.glob("*.mjs"), source.parent / SHARED):
            copy = CACHE / module.relative_to(source.parent)
            if module.exists() and not (copy.exists() and copy.read_bytes() == module.read_bytes()):
                fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
                fresh.write_bytes(module.read_bytes())
                fresh.replace(copy)  # atomic: another server may be reading the shared module
    return home / program


def _npm_install(home: Path) -> None:
    done = subprocess.run([*_INSTALL, str(home)], capture_output=True, text=True, check=False)  # noqa: S603 - fixed command
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise BenchmarkError(f"npm could not install the packages in {home}: {reason}")


def plain_command() -> list[str]:
    """Return the command of the plain Node `ws` server, after installing it; raises as `install` does."""
    return ["node", str(install()), *LOOPBACK]
