"""Whether a file can be written, as far as that is known before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def why_not_writable(file: Path) -> str:
    """Return why a file cannot be written; empty if nothing is known against it."""
    if file.is_dir():
        return "is a directory"
    if file.exists():
        return "" if os.access(file, os.W_OK) else "permission denied"
    if not file.parent.is_dir():
        return "no such directory"
    return "" if os.access(file.parent, os.W_OK | os.X_OK) else "permission denied"
