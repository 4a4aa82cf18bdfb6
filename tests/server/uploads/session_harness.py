"""Helpers for tests of upload sessions: a session on a real folder, whose disk accesses the test completes."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any

from server.chat.batching import BatchScheduler
from server.chat.broker import NullBroker
from server.chat.client import Client
from server.chat.hub import Hub
from server.chat.member import SENT
from server.chat.registry import Registry
from server.protocol import messages as wire
from server.stats import ServerStats
from server.uploads.session import UploadSession
from server.uploads.uploads import UploadStore
from stampede.websocket.frames import FrameSplitter
from tests.server.uploads.uploading import CHUNK
from tests.server.uploads.virtual_time import settle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.chat.member import WriteResult


class Disk:
    """Runs one function for each call of `work`."""

    def __init__(self) -> None:
        self.error: OSError | None = None  # for the functions that run from now on
        self._calls: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()

    async def run_in_thread(self, function: Callable[[], Any], /) -> Any:
        future = asyncio.get_running_loop().create_future()
        self._calls.append((function, future))
        return await future

    async def work(self) -> bool:
        """Run the next function, then everything that follows without the disk; return whether there was one."""
        await settle()
        if not self._calls:
            return False
        function, future = self._calls.popleft()
        try:
            if self.error is not None:
                raise self.error
            future.set_result(function())
        except OSError as error:
            future.set_exception(error)
        await settle()
        assert len(self._calls) <= 1, "a session accesses the disk once at a time"
        return True

    async def work_off(self) -> None:
        while await self.work():
            pass


class Connection:
    """Collects the written frames."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> WriteResult:
        self.written += data
        return SENT

    enqueue = write


class Stream:
    """Counts the pauses that were not ended."""

    def __init__(self) -> None:
        self.pauses = 0

    def pause_reading(self) -> None:
        self.pauses += 1

    def resume_reading(self) -> None:
        self.pauses -= 1


class SessionHarness:
    """One client's session with its disk, its clock and its answers."""

    def __init__(self, folder: Path) -> None:
        clock = asyncio.get_running_loop().time
        self.stats = ServerStats()
        self.disk = Disk()
        self.connection = Connection()
        self.stream = Stream()
        self.store = UploadStore(folder, self.stats, max_uploads=1, budget=100 * CHUNK)
        hub = Hub(
            Registry(self.stats, BatchScheduler(lambda _: None, lambda: 1.0), lambda: 1.0),
            NullBroker(),
            self.stats,
            clock=clock,
            wall_ms=lambda: 1,
            call_later=lambda _seconds, _callback: None,
            presence_threshold=0,
        )
        self.session = UploadSession(
            Client("c", self.connection),
            self.stream,
            hub=hub,
            store=self.store,
            stats=self.stats,
            clock=clock,
            run_in_thread=self.disk.run_in_thread,
        )

    def answers(self) -> list[dict[str, Any]]:
        return [
            json.loads(item) for item in FrameSplitter(masked=False, max_size=1 << 20).split(self.connection.written)
        ]

    def codes(self) -> list[str]:
        """Return the error code of each answer, or its type."""
        return [answer.get("code", answer["type"]) for answer in self.answers()]

    def start(self, chunks: int) -> None:
        self.session.handle(wire.FileStart(name="f", size=chunks * CHUNK))

    def send(self, index: int) -> None:
        self.session.handle(index.to_bytes(4) + bytes([index]) * CHUNK)

    def end(self) -> None:
        self.session.handle(wire.FileEnd())

    def cancel(self) -> None:
        self.session.handle(wire.FileCancel())
