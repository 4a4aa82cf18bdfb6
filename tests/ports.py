"""Free ports for processes under test."""

from __future__ import annotations

import os
import random
import socket
from collections import deque

_FIRST = 30_000
_EACH = 300

_given: deque[int] = deque(maxlen=_EACH // 2)


def free_ports(number: int) -> list[int]:
    """Return ports that are free: below those that systems give to connections, in a range of this test process.

    A Locust master whose port another test had taken meanwhile would be given that test's workers. What was given
    lately is not given again: it may be about to be bound.
    """
    first = _FIRST + _EACH * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    free: list[int] = []
    for port in random.sample(range(first, first + _EACH), _EACH):
        with socket.socket() as probe:
            if port not in _given and probe.connect_ex(("127.0.0.1", port)):
                free.append(port)
        if len(free) == number:
            _given.extend(free)
            return free
    raise AssertionError("too few ports are free")


def free_port() -> int:
    """Return one free port."""
    return free_ports(1)[0]
