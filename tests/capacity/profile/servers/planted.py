"""The chat on websockets' asyncio server with a planted hot function, whose share of the CPU time it measures itself.

    python -m tests.capacity.profile.servers.planted FILE --port 0

FILE receives the CPU seconds in the planted function, and in the whole process since the first message.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.servers.conversation import Chat, run
from benchmarks.servers.websockets_server import _serve

if TYPE_CHECKING:
    from collections.abc import Callable

UNIT = 1000
"""Additions of one round, some 40 us."""


def planted_hot_function(rounds: int) -> int:
    """Use CPU time."""
    total = 0
    for _ in range(rounds):
        for i in range(UNIT):
            total += i * i
    return total


def other_work(rounds: int) -> int:
    """Use CPU time that the profile must tell apart."""
    total = 0
    for _ in range(rounds):
        for i in range(UNIT):
            total += i * i
    return total


class Planted:
    """Does the work of each message and keeps the account."""

    def __init__(self, file: Path, handle: Callable[..., Any]) -> None:
        self._file = file
        self._handle = handle
        self._first: float | None = None
        self._hot = 0.0

    async def handle(self, chat: object, client: object, payload: bytes) -> None:
        """Handle a message after the work."""
        before = time.process_time()
        if self._first is None:
            self._first = before
        planted_hot_function(700)
        after = time.process_time()
        self._hot += after - before
        other_work(350)
        self._file.write_text(f"{self._hot} {time.process_time() - self._first}")
        await self._handle(chat, client, payload)


if __name__ == "__main__":
    planted = Planted(Path(sys.argv.pop(1)), Chat.handle)

    async def handle(chat: Any, client: Any, payload: bytes) -> None:
        """Replace the handler of the chat."""
        await planted.handle(chat, client, payload)

    with patch.object(Chat, "handle", handle):
        run(_serve)
