"""A cache of installed packages of other projects, so that the checkout stays clean."""

from __future__ import annotations

import fcntl
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from benchmarks.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CACHE: Final = ROOT / ".cache" / "peers"

_STAMP: Final = ".installed"


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Keep other processes from changing a folder of the cache; two test runs may start at once."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_once(name: str, manifest: bytes, install: Callable[[Path], None]) -> Path:
    """Install packages into a folder of the cache unless the same manifest is installed there.

    Args:
        name: of the folder.
        manifest: the text that names the packages.
        install: installs the packages into the folder.

    Returns: The folder.
    """
    home = CACHE / name
    with locked(home):
        stamp = home / _STAMP
        if not stamp.exists() or stamp.read_bytes() != manifest:
            print(f"installing the packages of {name} (once)", file=sys.stderr)
            stamp.unlink(missing_ok=True)
            install(home)
            stamp.write_bytes(manifest)
    return home
