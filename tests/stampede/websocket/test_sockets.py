"""Sockets are opened within the limits of the machine."""

from __future__ import annotations

import resource
import socket

import pytest

from stampede.generator_faults import FaultKind
from stampede.websocket.errors import UnreachableError
from stampede.websocket.sockets import RESERVED_FILES, open_socket


def test_connections_leave_descriptors_for_reports() -> None:
    """The system assigns the lowest free descriptor: one at the limit means that all lower ones are open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open_socket(socket.AF_INET) as made:
        number = made.fileno()
        assert not made.getblocking()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number + RESERVED_FILES, before[1]))
        with pytest.raises(UnreachableError) as refused:
            open_socket(socket.AF_INET)
        assert refused.value.fault is FaultKind.FILES
        resource.setrlimit(resource.RLIMIT_NOFILE, (number + RESERVED_FILES + 1, before[1]))
        open_socket(socket.AF_INET).close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, before[1]))
        with pytest.raises(UnreachableError) as none_left:
            open_socket(socket.AF_INET)
        assert none_left.value.fault is FaultKind.FILES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
