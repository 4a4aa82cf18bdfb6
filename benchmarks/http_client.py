"""HTTP requests to this machine that ignore the proxy settings of the environment."""

from __future__ import annotations

from typing import Any, Final
from urllib.request import ProxyHandler, Request, build_opener

_OPENER: Final = build_opener(ProxyHandler({}))


def urlopen(url: str | Request, data: bytes | None = None, timeout: float | None = None) -> Any:
    """Open a URL as the standard library's `urlopen` does, but never through a proxy."""
    return _OPENER.open(url, data, timeout)
