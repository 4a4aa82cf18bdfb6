"""Waits for conditions without an event of their own."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_SECONDS: Final = 0.005


def wait_until(condition: Callable[[], object], timeout: float) -> bool:
    """Let other greenlets run until a condition holds, `timeout` seconds at most; return whether it holds."""
    deadline = monotonic() + timeout
    while not condition() and monotonic() < deadline:
        gevent.sleep(_POLL_SECONDS)
    return bool(condition())
