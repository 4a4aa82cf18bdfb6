"""Send a stored file to a client, no faster than the client reads it.

The file is read in chunks, by a thread. The next chunk is read once the transport has passed the previous one to the
kernel, so a download uses a few chunks of memory, and one chunk of time in an iteration of the event loop.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from server.uploads.daemon_threads import RunInThread
    from server.uploads.stored_file import StoredFile

STALL_SECONDS: Final = 30.0
"""How long a client may take to read one chunk; then its download ends."""


class Transport(Protocol):
    """The transport, as a sender uses it."""

    def write(self, data: bytes) -> None:
        """Send data, or queue it."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the queued bytes above which `pause_writing` is called, and at which `resume_writing` is."""


class StalledError(Exception):
    """The client did not read for `STALL_SECONDS`."""


class FileSender:
    """Send a head and a file over a transport.

    The owner of the transport passes on its `pause_writing`, `resume_writing` and `connection_lost`.

    Attributes:
        lost: set once the transport is closed.
        sent_bytes: bytes of the file that were handed to the transport.
    """

    __slots__ = ("_may_write", "_run_in_thread", "_transport", "lost", "sent_bytes")

    def __init__(self, transport: Transport, run_in_thread: RunInThread) -> None:
        self._transport = transport
        self._run_in_thread = run_in_thread
        self._may_write = asyncio.Event()
        self._may_write.set()
        self.lost = asyncio.Event()
        self.sent_bytes = 0

    def pause_writing(self) -> None:
        """Wait with the next chunk: the transport's buffer is not empty."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Go on: the transport's buffer is empty."""
        self._may_write.set()

    def connection_lost(self) -> None:
        """End the download: the transport is closed."""
        self.lost.set()
        self._may_write.set()

    async def send(self, head: bytes, file: StoredFile) -> bool:
        """Send everything; return False if the connection was lost before.

        Raises:
            StalledError: the client does not read.
            OSError: the disk failed.
        """
        self._transport.set_write_buffer_limits(high=1, low=0)  # with TLS, uvloop would not resume from 0
        rest = head
        while self.sent_bytes < file.size and not self.lost.is_set():
            data = await self._run_in_thread(partial(file.read, self.sent_bytes))
            if self.lost.is_set():
                return False
            self._transport.write(rest + data)
            rest = b""
            self.sent_bytes += len(data)
            await self._wait_until_read()
        if rest and not self.lost.is_set():
            self._transport.write(rest)
        return not self.lost.is_set()

    async def _wait_until_read(self) -> None:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._may_write.wait()
        except TimeoutError:
            raise StalledError from None
