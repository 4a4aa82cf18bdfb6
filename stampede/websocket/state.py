"""The states of a connection."""

from __future__ import annotations

import enum


class ConnectionState(enum.Enum):
    """The states of a connection, in their order. Each may be followed by CLOSED."""

    OPENING = enum.auto()  # connects, and does the handshakes of TLS and WebSocket
    OPEN = enum.auto()  # exchanges messages
    CLOSING = enum.auto()  # has sent its close frame, and still receives messages
    CLOSED = enum.auto()  # has closed its socket


# Globals, since Python 3.11 takes three times as long to read a member of an enum.
OPENING, OPEN, CLOSING, CLOSED = ConnectionState
