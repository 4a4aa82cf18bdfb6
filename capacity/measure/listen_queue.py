"""Read the listen queues of a network namespace: connections that found one full, and the limit of their length."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_NAME: Final = "ListenOverflows"


def listen_overflows(pid: int) -> int | None:
    """Return how many connections found a full listen queue in the network namespace of a process; see netstat(8)."""
    rows = [line.split() for line in _text(_PROC / str(pid) / "net/netstat").splitlines()]
    for names, values in zip(rows[::2], rows[1::2], strict=False):
        if _NAME in names:
            return int(values[names.index(_NAME)])
    return None


def longest_listen_queue(pid: int) -> int | None:
    """Return `net.core.somaxconn`; None for a process in another network namespace than this one."""
    try:
        is_here = (_PROC / str(pid) / "ns/net").readlink() == (_PROC / "self/ns/net").readlink()
    except OSError:
        return None
    text = _text(_PROC / "sys/net/core/somaxconn")
    return int(text) if is_here and text.strip().isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
