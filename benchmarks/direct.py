"""Requests to this machine: they never go through a proxy, whatever the environment names."""

from __future__ import annotations

from typing import Any, Final
from urllib.request import ProxyHandler, Request, build_opener

_OPENER: Final = build_opener(ProxyHandler({}))


def urlopen(url: str | Request, data: bytes | None = None, timeout: float | None = None) -> Any:
    """Open a URL as `urlopen` of the standard library does, without a proxy."""
    return _OPENER.open(url, data, timeout)
