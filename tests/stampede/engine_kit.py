"""What the engine is tried with: a mailbox for what a connection brings, and patience."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import gevent

from stampede.websocket.connect import connect
from stampede.websocket.target import LostError, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.websocket.connection import Connection
    from stampede.websocket.reactor import Reactor

PATIENCE = 30.0


class Mailbox:
    """Keeps what a connection brings."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.times: list[int] = []
        self.error: LostError | None = None
        self.reliefs = 0

    def take(self, payload: bytes, now: int) -> None:
        self.messages.append(payload)
        self.times.append(now)

    def relieved(self) -> None:
        self.reliefs += 1

    def lost(self, error: LostError) -> None:
        self.error = error


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        gevent.sleep(0.005)


def open_at(reactor: Reactor, url: str, mailbox: Mailbox | None = None, *, timeout: float = PATIENCE) -> Connection:
    return connect(reactor, resolve(url), mailbox or Mailbox(), timeout=timeout)
