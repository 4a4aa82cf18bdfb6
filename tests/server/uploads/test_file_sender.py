"""A file is sent no faster than the client reads it, in virtual time and without a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from server.protocol.messages import CHUNK_BYTES
from server.uploads.file_sender import STALL_SECONDS, FileSender, StalledError
from tests.server.uploads.virtual_time import run, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.uploads.stored_file import StoredFile


class Transport:
    """A transport whose client reads when the test says so."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.sender: FileSender

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.sender.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert (high, low) == (1, 0)


class File:
    def __init__(self, size: int) -> None:
        self.size = size
        self.reads = 0

    def read(self, offset: int) -> bytes:
        self.reads += 1
        return b"x" * min(CHUNK_BYTES, self.size - offset)


async def in_place(function: Callable[[], Any]) -> Any:
    return function()


def start(size: int) -> tuple[Transport, File, FileSender, asyncio.Task[bool]]:
    transport, file = Transport(), File(size)
    sender = transport.sender = FileSender(transport, in_place)
    return transport, file, sender, asyncio.create_task(sender.send(b"head", cast("StoredFile", file)))


def test_the_next_chunk_is_read_once_the_previous_one_is_sent() -> None:
    async def story() -> None:
        transport, file, sender, sending = start(2 * CHUNK_BYTES + 1)
        for number in (1, 2, 3):
            await settle()
            assert (file.reads, len(transport.written)) == (number, number)
            assert not sending.done()
            sender.resume_writing()
        assert await sending
        assert b"".join(transport.written) == b"head" + b"x" * file.size
        assert sender.sent_bytes == file.size

    run(story())


def test_an_empty_file_is_a_head_alone() -> None:
    async def story() -> None:
        transport, file, _, sending = start(0)
        assert await sending
        assert (transport.written, file.reads) == ([b"head"], 0)

    run(story())


def test_a_client_that_stops_reading_is_given_up_and_one_that_reads_slowly_is_not() -> None:
    async def story() -> None:
        _, _, sender, sending = start(3 * CHUNK_BYTES)
        for _ in range(2):
            await asyncio.sleep(STALL_SECONDS - 1)
            assert not sending.done()
            sender.resume_writing()
            await settle()
        await asyncio.sleep(STALL_SECONDS + 1)
        assert sending.done()
        with pytest.raises(StalledError):
            sending.result()

    run(story())


def test_a_lost_connection_ends_the_download_at_once() -> None:
    async def story() -> None:
        _, file, sender, sending = start(3 * CHUNK_BYTES)
        await settle()
        sender.connection_lost()
        assert not await sending
        assert file.reads == 1

    run(story())
