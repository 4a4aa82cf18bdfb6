"""An upload session: its answers, its pauses, lost connections and disk errors, on a real folder and virtual time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from server.errors import ErrorCode
from server.uploads.request_queue import MAX_QUEUED_BYTES
from tests.server.uploads.session_harness import SessionHarness
from tests.server.uploads.uploading import CHUNK, chunks_of, files
from tests.server.uploads.virtual_time import run, settle

if TYPE_CHECKING:
    import pytest

STEPS = ["start", "start", "chunk", "chunk", "chunk", "end", "cancel", "wrong", "disk", "disk", "disk"]


class Model:
    """The answer to each request, as if the disk took no time."""

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


async def play(harness: SessionHarness, model: Model, steps: list[str]) -> None:
    for number, step in enumerate(steps):
        if step == "disk":
            await harness.disk.work()
        elif step == "start":
            harness.start(number % 3)
            model.start(number % 3)
        elif step == "chunk":
            harness.send(max(0, model.done))
            model.chunk(is_next=True)
        elif step == "wrong":
            harness.session.handle(b"\xff")
            model.chunk(is_next=False)
        elif step == "end":
            harness.end()
            model.end()
        else:
            harness.cancel()
            model.cancel()


@given(st.lists(st.sampled_from(STEPS), max_size=40), st.booleans())
def test_answers_come_in_order_and_files_are_whole_or_removed_whenever_the_disk_works(
    steps: list[str], disconnects: bool
) -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            harness, model = SessionHarness(folder), Model()
            await play(harness, model, steps)
            if disconnects:  # while requests wait for the disk
                harness.session.disconnect()
            await harness.disk.work_off()
            assert [code for code in harness.codes() if code != "fileProgress"] == model.answers
            saved = {answer["uploadId"] for answer in harness.answers() if answer["type"] == "fileSaved"}
            stored = saved | {f"{upload_id}.json" for upload_id in saved}
            is_open = model.is_open and not disconnects
            assert len(files(folder) - stored) == harness.store.active == int(is_open)
            assert harness.session.is_active == is_open
            harness.session.disconnect()
            await harness.disk.work_off()
            assert files(folder) == stored
            assert (harness.store.active, harness.store._reserved, harness.stream.pauses) == (0, 0, 0)
            assert not harness.session.is_active
            assert sum(harness.stats.uploads.values()) == model.answers.count("fileReady")
            assert harness.stats.uploads["saved"] == len(saved)

    run(scenario())


def test_reading_is_paused_while_the_disk_is_slower_than_the_client(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(20)
        await harness.disk.work()
        harness.send(0)
        await settle()  # the first chunk is being written
        for index in range(1, 1 + MAX_QUEUED_BYTES // CHUNK):
            harness.send(index)
        assert harness.stream.pauses == 0
        harness.send(1 + MAX_QUEUED_BYTES // CHUNK)
        assert harness.stream.pauses == 1
        await harness.disk.work_off()
        assert harness.stream.pauses == 0
        harness.session.disconnect()
        await harness.disk.work_off()

    run(scenario())


def test_every_invalid_chunk_in_the_queue_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(1)
        for _ in range(9):
            harness.session.handle(b"")
        assert harness.stream.pauses == 1
        await harness.disk.work_off()
        assert harness.stream.pauses == 0
        assert harness.codes() == ["fileReady", "upload_chunk", *["upload_missing"] * 8]

    run(scenario())


def test_nothing_is_left_of_an_upload_whose_client_disconnects(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(4)
        for chunk in chunks_of(b"x" * 4 * CHUNK):
            harness.session.handle(chunk)
        harness.session.disconnect()
        assert harness.session.is_active
        await harness.disk.work_off()
        assert files(tmp_path) == set()
        assert harness.stats.uploads["vanished"] == 1
        assert not harness.session.is_active

    run(scenario())


def test_an_upload_that_was_ended_is_stored_although_the_client_disconnects(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(1)
        harness.send(0)
        harness.end()
        harness.session.disconnect()
        await harness.disk.work_off()
        assert harness.stats.uploads["saved"] == 1
        assert not harness.session.is_active

    run(scenario())


def test_a_disk_error_is_answered_once_for_all_requests_of_the_upload_in_the_queue(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(3)
        await harness.disk.work()
        for index in range(3):
            harness.send(index)
        harness.end()
        harness.cancel()
        harness.disk.error = OSError(28, "No space left on device")
        await harness.disk.work()
        harness.disk.error = None
        await harness.disk.work_off()
        assert harness.codes() == ["fileReady", "upload_storage", "upload_missing"]
        assert harness.stats.uploads["failed"] == 1
        assert files(tmp_path) == set()

    run(scenario())


def test_a_partial_file_that_cannot_be_removed_is_logged_and_no_longer_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr("server.uploads.session.log.error", lambda event, **_: logged.append(event), raising=False)

    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(1)
        await harness.disk.work()
        harness.cancel()
        harness.disk.error = OSError(30, "Read-only file system")
        await harness.disk.work()
        assert (harness.store.active, harness.store._reserved) == (0, 0)
        assert harness.stats.uploads["cancelled"] == 1

    run(scenario())
    assert logged == ["upload not removed"]
