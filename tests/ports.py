"""Free ports for processes under test."""

from __future__ import annotations

import os
import random
import socket
from collections import deque

_FIRST = 30_000
_EACH = 300

_returned: deque[int] = deque(maxlen=_EACH // 2)


def free_ports(number: int, reserved: int = 0) -> list[int]:
    """Return free ports below the ephemeral range, in a range of this test process, without a reserved one.

    Ranges are separate because a Locust master on a port of another test would get that test's workers. Ports returned
    lately are not returned again: another process may be about to bind them.
    """
    first = _FIRST + _EACH * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    free: list[int] = []
    for port in random.sample(range(first, first + _EACH), _EACH):
        with socket.socket() as probe:
            if port != reserved and port not in _returned and probe.connect_ex(("127.0.0.1", port)):
                free.append(port)
        if len(free) == number:
            _returned.extend(free)
            return free
    raise AssertionError("too few ports are free")


def free_port() -> int:
    """Return one free port."""
    return free_ports(1)[0]
