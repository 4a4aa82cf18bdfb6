"""An upload session on a real folder and virtual time; disk access ends when the test says so."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from server.chat.batching import BatchScheduler
from server.chat.broker import NullBroker
from server.chat.client import Client
from server.chat.hub import Hub
from server.chat.member import SENT
from server.chat.registry import Registry
from server.errors import ErrorCode
from server.protocol import messages as wire
from server.protocol.frames import FrameSplitter
from server.stats import ServerStats
from server.uploads.request_queue import MAX_QUEUED_BYTES
from server.uploads.session import IDLE_SECONDS, PROGRESS_SECONDS, UploadSession
from server.uploads.uploads import UploadStore
from tests.server.uploads.uploading import CHUNK, chunks_of, files
from tests.server.uploads.virtual_time import run, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from server.chat.member import WriteResult

STEPS = ["start", "start", "chunk", "chunk", "chunk", "end", "cancel", "wrong", "disk", "disk", "disk"]


class Disk:
    """Runs one function each time it is told to."""

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
    """Collects what is written, and counts the pauses that were not ended."""

    def __init__(self) -> None:
        self.written = b""
        self.pauses = 0

    def write(self, data: bytes) -> WriteResult:
        self.written += data
        return SENT

    enqueue = write

    def pause_reading(self) -> None:
        self.pauses += 1

    def resume_reading(self) -> None:
        self.pauses -= 1


class World:
    """One client's session with its disk, its clock and its answers."""

    def __init__(self, folder: Path) -> None:
        clock = asyncio.get_running_loop().time
        self.stats = ServerStats()
        self.disk = Disk()
        self.connection = Connection()
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
            self.connection,
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


class Model:
    """Which answer each request gets, as if the disk took no time."""

    def __init__(self) -> None:
        self.size = self.done = -1  # chunks; -1: no upload is open
        self.answers: list[str] = []

    @property
    def is_open(self) -> bool:
        return self.size >= 0

    def start(self, size: int) -> None:
        if self.is_open:
            self.answers.append(ErrorCode.UPLOAD_ACTIVE.code)
        else:
            self.size, self.done = size, 0
            self.answers.append("fileReady")

    def chunk(self, *, is_next: bool) -> None:
        if is_next and self.size > self.done >= 0:
            self.done += 1
        else:
            self._close(ErrorCode.UPLOAD_CHUNK.code)

    def end(self) -> None:
        self._close("fileSaved" if self.done == self.size else ErrorCode.UPLOAD_INCOMPLETE.code)

    def cancel(self) -> None:
        self._close(None)

    def _close(self, answer: str | None) -> None:
        if not self.is_open:
            answer = ErrorCode.UPLOAD_MISSING.code
        if answer is not None:
            self.answers.append(answer)
        self.size = self.done = -1


async def play(world: World, model: Model, steps: list[str]) -> None:
    for number, step in enumerate(steps):
        if step == "disk":
            await world.disk.work()
        elif step == "start":
            world.start(number % 3)
            model.start(number % 3)
        elif step == "chunk":
            world.send(max(0, model.done))
            model.chunk(is_next=True)
        elif step == "wrong":
            world.session.handle(b"\xff")
            model.chunk(is_next=False)
        elif step == "end":
            world.end()
            model.end()
        else:
            world.cancel()
            model.cancel()


@given(st.lists(st.sampled_from(STEPS), max_size=40), st.booleans())
def test_answers_come_in_order_and_files_are_whole_or_removed_whenever_the_disk_works(
    steps: list[str], disconnects: bool
) -> None:
    async def story() -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            world, model = World(folder), Model()
            await play(world, model, steps)
            if disconnects:  # while requests wait for the disk
                world.session.disconnect()
            await world.disk.work_off()
            assert [code for code in world.codes() if code != "fileProgress"] == model.answers
            saved = {answer["uploadId"] for answer in world.answers() if answer["type"] == "fileSaved"}
            stored = saved | {f"{upload_id}.json" for upload_id in saved}
            is_open = model.is_open and not disconnects
            assert len(files(folder) - stored) == world.store.active == int(is_open)
            assert world.session.is_active == is_open
            world.session.disconnect()
            await world.disk.work_off()
            assert files(folder) == stored
            assert (world.store.active, world.store._reserved, world.connection.pauses) == (0, 0, 0)
            assert not world.session.is_active
            assert sum(world.stats.uploads.values()) == model.answers.count("fileReady")
            assert world.stats.uploads["saved"] == len(saved)

    run(story())


def test_reading_is_paused_while_the_disk_is_slower_than_the_client(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        world.start(20)
        await world.disk.work()
        world.send(0)
        await settle()  # the first chunk is being written
        for index in range(1, 1 + MAX_QUEUED_BYTES // CHUNK):
            world.send(index)
        assert world.connection.pauses == 0
        world.send(1 + MAX_QUEUED_BYTES // CHUNK)
        assert world.connection.pauses == 1
        await world.disk.work_off()
        assert world.connection.pauses == 0
        world.session.disconnect()
        await world.disk.work_off()

    run(story())


def test_every_invalid_chunk_in_the_queue_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        world.start(1)
        for _ in range(9):
            world.session.handle(b"")
        assert world.connection.pauses == 1
        await world.disk.work_off()
        assert world.connection.pauses == 0
        assert world.codes() == ["fileReady", "upload_chunk", *["upload_missing"] * 8]

    run(story())


def test_nothing_is_left_of_an_upload_whose_client_disconnects(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        world.start(4)
        for chunk in chunks_of(b"x" * 4 * CHUNK):
            world.session.handle(chunk)
        world.session.disconnect()
        assert world.session.is_active
        await world.disk.work_off()
        assert files(tmp_path) == set()
        assert world.stats.uploads["vanished"] == 1
        assert not world.session.is_active

    run(story())


def test_an_upload_that_was_ended_is_stored_although_the_client_disconnects(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        world.start(1)
        world.send(0)
        world.end()
        world.session.disconnect()
        await world.disk.work_off()
        assert world.stats.uploads["saved"] == 1
        assert not world.session.is_active

    run(story())


def test_a_disk_error_is_answered_once_for_all_requests_of_the_upload_in_the_queue(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        world.start(3)
        await world.disk.work()
        for index in range(3):
            world.send(index)
        world.end()
        world.cancel()
        world.disk.error = OSError(28, "No space left on device")
        await world.disk.work()
        world.disk.error = None
        await world.disk.work_off()
        assert world.codes() == ["fileReady", "upload_storage", "upload_missing"]
        assert world.stats.uploads["failed"] == 1
        assert files(tmp_path) == set()

    run(story())


def test_a_partial_file_that_cannot_be_removed_is_logged_and_no_longer_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr("server.uploads.session.log.error", lambda event, **_: logged.append(event), raising=False)

    async def story() -> None:
        world = World(tmp_path)
        world.start(1)
        await world.disk.work()
        world.cancel()
        world.disk.error = OSError(30, "Read-only file system")
        await world.disk.work()
        assert (world.store.active, world.store._reserved) == (0, 0)
        assert world.stats.uploads["cancelled"] == 1

    run(story())
    assert logged == ["upload not removed"]


def progress(world: World) -> list[tuple[int, int]]:
    """Return `received` and `size` of each `fileProgress`."""
    return [(answer["received"], answer["size"]) for answer in world.answers() if answer["type"] == "fileProgress"]


def test_progress_is_reported_after_writes_and_at_most_four_times_a_second(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        world.start(8)
        await world.disk.work()
        for index in range(8):
            await asyncio.sleep(PROGRESS_SECONDS / 2)
            world.send(index)
            assert await world.disk.work()
        assert progress(world) == [(written * CHUNK, 8 * CHUNK) for written in (2, 4, 6, 8)]

    run(story())


def test_chunks_that_wait_for_the_disk_do_not_count_as_progress(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        world.start(3)
        await world.disk.work()
        world.send(0)
        world.send(1)
        await asyncio.sleep(PROGRESS_SECONDS)
        assert progress(world) == []
        await world.disk.work()
        assert progress(world) == [(CHUNK, 3 * CHUNK)]

    run(story())


def test_an_upload_without_chunks_is_dropped_at_the_idle_timeout_and_not_before(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        world.start(2)
        await world.disk.work()
        await asyncio.sleep(IDLE_SECONDS - 1)
        world.send(0)
        await world.disk.work()
        await asyncio.sleep(IDLE_SECONDS - 0.001)
        assert world.session.is_active
        await asyncio.sleep(0.002)
        assert await world.disk.work()
        assert world.answers()[-1]["code"] == "upload_idle"
        assert world.stats.uploads["idle"] == 1
        assert not world.session.is_active

    run(story())


def test_other_requests_do_not_postpone_the_idle_timeout(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        world.start(2)
        await world.disk.work()
        for _ in range(2):
            await asyncio.sleep(IDLE_SECONDS / 2 + 0.001)
            world.start(2)
        await world.disk.work_off()
        assert world.codes() == ["fileReady", "upload_active", "upload_idle", "fileReady"]

    run(story())


def test_a_slow_disk_does_not_make_a_client_idle(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        world.start(2)
        await world.disk.work()
        world.send(0)
        await asyncio.sleep(3 * IDLE_SECONDS)  # the write takes all this time
        assert world.session.is_active
        await world.disk.work()
        await asyncio.sleep(IDLE_SECONDS - 0.001)
        world.send(1)
        await world.disk.work()
        world.end()
        await world.disk.work()
        assert world.stats.uploads["saved"] == 1
        assert world.answers()[-1]["type"] == "fileSaved"

    run(story())
