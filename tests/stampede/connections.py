"""Connections to servers under test, and a receiver that records what they receive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import gevent

from stampede.websocket.connect import connect
from stampede.websocket.target import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.websocket.connection import Connection
    from stampede.websocket.errors import LostError
    from stampede.websocket.reactor import Reactor

TIMEOUT = 30.0


class RecordingReceiver:
    """Records the calls of a connection."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.times: list[int] = []
        self.error: LostError | None = None
        self.resumes = 0
        self.pongs: list[bytes] = []

    def message_received(self, payload: bytes, now: int) -> None:
        self.messages.append(payload)
        self.times.append(now)

    def frames_received(self, data: bytes) -> bytes:
        """Leave all frames to the splitter."""
        return data

    def batch_received(self, payloads: list[bytes]) -> list[bytes]:
        """Leave all payloads to `message_received`."""
        return payloads

    def pong_received(self, payload: bytes, now: int) -> None:
        self.pongs.append(payload)

    def resume_writing(self) -> None:
        self.resumes += 1

    def connection_lost(self, error: LostError) -> None:
        self.error = error


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        gevent.sleep(0.005)


def open_at(
    reactor: Reactor, url: str, receiver: RecordingReceiver | None = None, *, timeout: float = TIMEOUT
) -> Connection:
    return connect(reactor, resolve(url), receiver or RecordingReceiver(), timeout=timeout)
