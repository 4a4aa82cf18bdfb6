"""Start the servers that are compared: ours, and peers that do the same chat.

A peer written for Node is copied into `.cache/peers/NAME` and its packages are installed beside the copy,
so that the checkout stays clean and a second run installs nothing.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
PLAIN: Final = ROOT / "tests" / "peers" / "plain"
CACHE: Final = ROOT / ".cache" / "peers"
SHARED: Final = "chat.mjs"
"""What the peers in one folder share; it lies beside theirs."""
LOCAL: Final = ("--host", "127.0.0.1", "--port", "0")

_URL: Final = re.compile(r"ws://\S+")
_STOP_SECONDS: Final = 10
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


class PeerError(Exception):
    """A server cannot be started; its text is one line for a person."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections: its URL without a path, and its process."""

    url: str
    process: subprocess.Popen[str]


def missing_tools() -> str | None:
    """Return one line that says what to install before a Node peer can run, or None when nothing is missing."""
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if not missing:
        return None
    return f"{' and '.join(missing)} not found: install Node.js (Debian: apt-get install nodejs npm)"


def packages(source: Path) -> Path:
    """Install what the `package.json` in a folder asks for into the cache; return the folder there.

    Raises:
        PeerError: Node is missing, or npm failed.
    """
    problem = missing_tools()
    if problem:
        raise PeerError(problem)
    home = CACHE / source.name
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs may start at once
        manifest = (source / "package.json").read_bytes()
        installed = home / "node_modules" / ".installed"
        if not installed.exists() or installed.read_bytes() != manifest:
            print(f"fetching the packages of the {source.name} peer (once)", file=sys.stderr)
            (home / "package.json").write_bytes(manifest)
            _npm_install(home)
            installed.write_bytes(manifest)
    return home


def install(source: Path = PLAIN) -> Path:
    """Install a Node peer into the cache and return its `server.mjs` there; a second call only refreshes the copy.

    Raises:
        PeerError: as `packages` does.
    """
    home = packages(source)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for module in (source / "server.mjs", source.parent / SHARED):
            copy = CACHE / module.relative_to(source.parent)
            if module.exists() and not (copy.exists() and copy.read_bytes() == module.read_bytes()):
                fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
                fresh.write_bytes(module.read_bytes())
                fresh.replace(copy)  # another peer may be reading what they share
    return home / "server.mjs"


def _npm_install(home: Path) -> None:
    done = subprocess.run([*_INSTALL, str(home)], capture_output=True, text=True, check=False)  # noqa: S603 - fixed command
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise PeerError(f"npm could not install the packages in {home}: {reason}")


def plain_command() -> list[str]:
    """Return the command of the plain Node `ws` peer, installed; raises as `install` does."""
    return ["node", str(install()), *LOCAL]


def stampede_command(*flags: str) -> list[str]:
    """Return the command of our own server, with further flags; it lets a few clients offer more than anyone takes."""
    limits = ("--message-rate", "100000", "--drain-seconds", "0")
    quiet = ("--log-level", "warning")  # the table is what a person wants to see
    return [sys.executable, "-m", "server", *LOCAL, *limits, *quiet, *flags]


@contextmanager
def running(command: Sequence[str], cpu: int | None = None) -> Iterator[Running]:
    """Run a server until the block ends, on one CPU only if asked; its first line must name its ws:// URL.

    Raises:
        PeerError: it ended, or said something else, before it listened.
    """
    process = _spawn(command, cpu)
    try:
        assert process.stdout is not None  # noqa: S101 - Popen was asked for a pipe
        line = process.stdout.readline()
        found = _URL.search(line)
        if found is None:
            raise PeerError(f"{' '.join(command)} did not say where it listens: {line.strip() or 'it ended'}")
        yield Running(found[0].rstrip("/"), process)
    finally:
        _stop(process)


def _spawn(command: Sequence[str], cpu: int | None) -> subprocess.Popen[str]:
    # A child inherits the affinity of the thread that starts it, and so do all threads it will ever make;
    # setting it from outside afterwards would miss the threads that already run.
    ours = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603 - our own commands
    except OSError as problem:
        raise PeerError(f"cannot start {command[0]}: {problem.strerror}") from None
    finally:
        os.sched_setaffinity(0, ours)


def _stop(process: subprocess.Popen[str]) -> None:
    with process:  # closes the pipe and waits
        try:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also where someone loses patience with the wait
            if process.poll() is None:
                process.kill()
