"""Shorten the paths of source files, and tell the server's own code from libraries. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_FILE_URL: Final = "file://"
_PACKAGES: Final = re.compile(r".*/(?:site-packages|dist-packages|node_modules)/(.+)")
_STANDARD_LIBRARY: Final = re.compile(r".*/lib/python3\.\d+[a-z]?/(.+)")
_RUNTIME: Final = ("<frozen ", "node:")


def short_path(path: str, folder: str) -> str:
    """Return the path relative to its package, or to the server's working directory, or as it is."""
    path = _without_scheme(path)
    for inside in (_PACKAGES, _STANDARD_LIBRARY):
        if found := inside.fullmatch(path):
            return found[1]
    root = f"{folder.rstrip('/')}/"
    return path.removeprefix(root) if root != "/" else path


def is_library(path: str) -> bool:
    """Return whether a file belongs to the runtime or to an installed package, not to the server's own code."""
    path = _without_scheme(path)
    return path.startswith(_RUNTIME) or any(inside.fullmatch(path) for inside in (_PACKAGES, _STANDARD_LIBRARY))


def python_module(path: str) -> str:
    """Return the module of a library's file, such as 'json' for json/__init__.py; empty for other files."""
    if not path.endswith(".py"):
        return ""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _without_scheme(path: str) -> str:
    return unquote(path.removeprefix(_FILE_URL)) if path.startswith(_FILE_URL) else path
