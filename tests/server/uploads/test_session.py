"""A file transfer as a plain object, on a real folder: the threads end their work when the test says so."""

from __future__ import annotations

import json
import tempfile
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

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
from server.uploads.session import HOLD_BYTES, HOLD_JOBS, FileTransfer
from server.uploads.uploads import IDLE_SECONDS, PROGRESS_SECONDS, UploadStore
from tests.server.uploads.uploading import CHUNK, chunks_of, files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from server.chat.member import WriteResult
    from server.context import Services

MOST = 3
KINDS = ["start", "start", "chunk", "chunk", "chunk", "end", "cancel", "wrong", "disk", "disk", "disk"]


class Disk:
    """Threads that work when they are told to."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Callable[[], object], Callable[[Any], None]]] = deque()

    def take(self, work: Callable[[], object], done: Callable[[Any], None]) -> None:
        self.jobs.append((work, done))

    def work(self) -> bool:
        if not self.jobs:
            return False
        work, done = self.jobs.popleft()
        try:
            outcome = work()
        except OSError as error:
            done(error)
        else:
            done(outcome)
        return True


class Peer:
    """A connection that counts who holds it."""

    def __init__(self) -> None:
        self.written = b""
        self.held = 0

    def write(self, data: bytes) -> WriteResult:
        self.written += data
        return SENT

    enqueue = write

    def pause_reading(self) -> None:
        self.held += 1

    def resume_reading(self) -> None:
        self.held -= 1


class Alarm:
    """A timer: what it calls, when, and whether it still will."""

    def __init__(self, due: float, act: Callable[[], None]) -> None:
        self.due = due
        self.act = act
        self.is_set = True

    def cancel(self) -> None:
        self.is_set = False


class World:
    """One client's transfer, its disk, its clock, and its answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1.0
        self.alarms: list[Alarm] = []
        self.stats = ServerStats()
        self.disk = Disk()
        self.peer = Peer()
        self.store = UploadStore(folder, self.stats, most=MOST, budget=100 * CHUNK)
        hub = Hub(
            Registry(self.stats, BatchScheduler(lambda _: None, lambda: 1.0), lambda: 1.0),
            NullBroker(),
            self.stats,
            clock=lambda: 1.0,
            wall_ms=lambda: 1,
            call_later=lambda _seconds, _callback: None,
            presence_threshold=0,
        )
        services = SimpleNamespace(
            hub=hub,
            uploads=self.store,
            stats=self.stats,
            clock=lambda: self.now,
            call_later=self.call_later,
            run_in_thread=self.disk.take,
        )
        client = Client("c", self.peer)
        self.transfer = FileTransfer(client, self.peer, cast("Services", services))

    def call_later(self, seconds: float, act: Callable[[], None]) -> Alarm:
        self.alarms.append(Alarm(self.now + seconds, act))
        return self.alarms[-1]

    def wait(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        end = self.now + seconds
        while due := [alarm for alarm in self.alarms if alarm.is_set and alarm.due <= end]:
            alarm = min(due, key=lambda alarm: alarm.due)
            alarm.is_set = False
            self.now = max(self.now, alarm.due)
            alarm.act()
        self.now = end

    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(item) for item in FrameSplitter(masked=False, max_size=1 << 20).split(self.peer.written)]

    def start(self, chunks: int) -> None:
        self.transfer.handle(wire.FileStart(name="f", size=chunks * CHUNK), self.now)

    def send(self, index: int) -> None:
        self.transfer.chunk(index.to_bytes(4) + bytes([index]) * CHUNK, self.now)


def expected(steps: list[str]) -> Iterator[str]:
    """Return the answer to each step but `disk`, as if the disk took no time; limits on number aside."""
    size = done = -1
    for number, step in enumerate(steps):
        if step == "start":
            if size >= 0:
                yield ErrorCode.UPLOAD_ACTIVE.code
            else:
                size, done = number % 3, 0
                yield "fileReady"
        elif step == "chunk" and size > done >= 0:
            done += 1
        elif step != "disk":
            if size < 0:
                yield ErrorCode.UPLOAD_MISSING.code
            elif step in ("chunk", "wrong"):
                yield ErrorCode.UPLOAD_CHUNK.code
            elif step == "end":
                yield "fileSaved" if done == size else ErrorCode.UPLOAD_INCOMPLETE.code
            size = done = -1


@given(st.lists(st.sampled_from(KINDS), max_size=40), st.booleans())
def test_answers_come_in_order_and_files_are_whole_or_gone_whenever_the_disk_works(
    steps: list[str], vanishes: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        sent = 0
        for number, step in enumerate(steps):
            if step == "disk":
                world.disk.work()
                continue
            while world.store.active == MOST:
                world.disk.work()
            if step == "start":
                world.start(number % 3)
                sent = 0 if world.transfer._upload is not None and not world.transfer._upload.received else sent
            elif step == "chunk":
                world.send(sent)
                sent += 1
            elif step == "wrong":
                world.transfer.chunk(b"\xff", 1.0)
            else:
                world.transfer.handle(wire.FileEnd() if step == "end" else wire.FileCancel(), 1.0)
        if vanishes:  # while the disk is still at it
            world.transfer.vanish()
        while world.disk.work():
            pass
        answers = world.answers()
        saved = {answer["uploadId"] for answer in answers if answer["type"] == "fileSaved"}
        told = [answer.get("code", answer["type"]) for answer in answers if answer["type"] != "fileProgress"]
        assert told == list(expected(steps))
        left = world.transfer._upload
        parts = {f"{left.upload_id}.part"} if left is not None else set()
        assert files(Path(folder)) == saved | {f"{name}.json" for name in saved} | parts
        assert world.store.active == len(parts)
        world.transfer.vanish()
        while world.disk.work():
            pass
        assert files(Path(folder)) == saved | {f"{name}.json" for name in saved}
        assert (world.store.active, world.store._set_aside, world.peer.held) == (0, 0, 0)
        assert sum(world.stats.uploads.values()) == told.count("fileReady")
        assert world.stats.uploads["saved"] == len(saved)


def test_a_client_is_read_no_faster_than_the_disk_writes(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start(20)
    world.disk.work()
    for index in range(HOLD_BYTES // CHUNK):
        world.send(index)
    assert world.peer.held == 0
    world.send(HOLD_BYTES // CHUNK)
    assert world.peer.held == 1
    while world.disk.work():
        pass
    assert world.peer.held == 0


def test_a_client_cannot_pile_up_jobs_before_a_disk_that_stands_still(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start(1)
    for _ in range(HOLD_JOBS + 1):
        world.transfer.chunk(b"", 1.0)
    assert world.peer.held == 1
    while world.disk.work():
        pass
    assert world.peer.held == 0
    ready, *refused = world.answers()
    assert ready["type"] == "fileReady"
    assert [answer["code"] for answer in refused] == ["upload_chunk"] + ["upload_missing"] * HOLD_JOBS


def test_bytes_held_for_an_upload_that_ended_are_let_go(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start(4)
    for chunk in chunks_of(b"x" * 4 * CHUNK):
        world.transfer.chunk(chunk, 1.0)
    world.transfer.vanish()
    while world.disk.work():
        pass
    assert files(tmp_path) == set()
    assert world.stats.uploads["vanished"] == 1
    assert not world.transfer.is_active


def progress(world: World) -> list[tuple[int, int]]:
    """Return what was told of the progress: bytes received, of how many."""
    return [(answer["received"], answer["size"]) for answer in world.answers() if answer["type"] == "fileProgress"]


def test_progress_is_told_as_the_disk_writes_and_at_most_four_times_a_second(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start(8)
    world.disk.work()
    for index in range(8):
        world.wait(PROGRESS_SECONDS / 2)
        world.send(index)
        assert world.disk.work()
    assert progress(world) == [(written * CHUNK, 8 * CHUNK) for written in (2, 4, 6, 8)]


def test_what_waits_for_the_disk_is_no_progress(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start(3)
    world.disk.work()
    world.send(0)
    world.send(1)
    world.wait(PROGRESS_SECONDS)
    assert progress(world) == []
    world.disk.work()
    assert progress(world) == [(2 * CHUNK, 3 * CHUNK)]


def test_a_client_that_sends_nothing_is_dropped_at_the_idle_time_and_not_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start(2)
    world.disk.work()
    world.wait(IDLE_SECONDS - 1)
    world.send(0)
    world.disk.work()
    world.wait(IDLE_SECONDS - 0.001)
    assert world.transfer.is_active
    world.wait(0.002)
    assert world.disk.work()
    assert world.answers()[-1]["code"] == "upload_idle"
    assert world.stats.uploads["idle"] == 1
    assert not world.transfer.is_active


def test_a_disk_that_takes_its_time_does_not_make_a_client_idle(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start(2)
    world.disk.work()
    world.send(0)
    world.wait(3 * IDLE_SECONDS)  # all that time the write is under way
    assert world.transfer.is_active
    world.disk.work()
    world.wait(IDLE_SECONDS - 0.001)
    world.send(1)
    world.disk.work()
    world.transfer.handle(wire.FileEnd(), world.now)
    world.disk.work()
    assert world.stats.uploads["saved"] == 1
    assert world.answers()[-1]["type"] == "fileSaved"
