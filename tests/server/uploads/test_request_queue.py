"""The queue of upload requests keeps their order and pauses reading above its bound."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from server.protocol.messages import FileCancel, FileEnd, FileStart
from server.uploads.request_queue import MAX_QUEUED_BYTES, MIN_REQUEST_BYTES, Request, RequestQueue
from tests.server.uploads.uploading import CHUNK

START = FileStart(name="f", size=1)
LARGE = b"x" * CHUNK


class Stream:
    """Counts the pauses that were not ended."""

    def __init__(self) -> None:
        self.pauses = 0

    def pause_reading(self) -> None:
        self.pauses += 1

    def resume_reading(self) -> None:
        self.pauses -= 1


@given(st.lists(st.sampled_from([LARGE, b"", START, None, "get", "get"]), max_size=60))
def test_reading_is_paused_above_the_bound_and_resumed_at_half_of_it(steps: list[Request | str]) -> None:
    async def story() -> None:
        stream = Stream()
        queue = RequestQueue(stream)
        expected: list[Request] = []
        is_paused = False
        for step in steps:
            if not isinstance(step, str):
                queue.put(step)
                expected.append(step)
            elif expected:
                assert await queue.get() == expected.pop(0)
            waiting = sum(max(MIN_REQUEST_BYTES, len(each) if isinstance(each, bytes) else 0) for each in expected)
            is_paused = waiting > (MAX_QUEUED_BYTES // 2 if is_paused else MAX_QUEUED_BYTES)
            assert (len(queue), stream.pauses) == (len(expected), int(is_paused))

    asyncio.run(story())


def test_a_request_wakes_the_session_that_waits_for_it() -> None:
    async def story() -> None:
        queue = RequestQueue(Stream())
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        queue.put(b"chunk")
        assert await waiting == b"chunk"

    asyncio.run(story())


def test_skipping_an_upload_removes_its_chunks_and_its_end_only() -> None:
    async def story() -> None:
        for end in (FileEnd(), FileCancel()):
            queue = RequestQueue(Stream())
            for request in (LARGE, LARGE, end, b"", START):
                queue.put(request)
            queue.skip_upload()
            assert [await queue.get(), await queue.get()] == [b"", START]
        queue.put(LARGE)
        queue.put(START)
        queue.skip_upload()
        queue.skip_upload()
        assert await queue.get() == START

    asyncio.run(story())
