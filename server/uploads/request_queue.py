"""The queue between a connection and its upload session, with back-pressure."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

from server.protocol.messages import CHUNK_BYTES, CHUNK_HEADER_BYTES, FileCancel, FileEnd, UploadMessage

MAX_QUEUED_BYTES: Final = 3 * (CHUNK_BYTES + CHUNK_HEADER_BYTES)
"""Reading from the connection is paused above this, and resumed at half of it."""

MIN_REQUEST_BYTES: Final = MAX_QUEUED_BYTES // 8
"""A smaller request counts as this many bytes, so that the number of requests is bounded too."""

Request = UploadMessage | bytes | None
"""An upload message, the payload of a chunk, or None when the client disconnected."""


class PausableStream(Protocol):
    """The inbound half of a connection, whose reading can be paused."""

    def pause_reading(self) -> None:
        """Pause reading until `resume_reading` has been called equally often."""

    def resume_reading(self) -> None:
        """Undo one `pause_reading`."""


class RequestQueue:
    """The requests of one client that its upload session has not handled yet, in their order."""

    __slots__ = ("_arrived", "_bytes", "_is_paused", "_requests", "_stream")

    def __init__(self, stream: PausableStream) -> None:
        self._stream = stream
        self._requests: deque[Request] = deque()
        self._arrived = asyncio.Event()
        self._bytes = 0
        self._is_paused = False

    def __len__(self) -> int:
        return len(self._requests)

    def put(self, request: Request) -> None:
        """Append a request."""
        self._requests.append(request)
        self._arrived.set()
        self._add_bytes(_size(request))

    async def get(self) -> Request:
        """Wait for the next request, remove it and return it."""
        while not self._requests:
            self._arrived.clear()
            await self._arrived.wait()
        return self._remove_first()

    def skip_upload(self) -> None:
        """Remove the chunks at the head of the queue and the `fileEnd` or `fileCancel` that follows them."""
        while self._requests and isinstance(self._requests[0], (bytes, FileEnd, FileCancel)):
            if not isinstance(self._remove_first(), bytes):
                return

    def _remove_first(self) -> Request:
        request = self._requests.popleft()
        self._add_bytes(-_size(request))
        return request

    def _add_bytes(self, size: int) -> None:
        """Count queued bytes, and pause or resume reading where they cross a bound."""
        self._bytes += size
        if not self._is_paused and self._bytes > MAX_QUEUED_BYTES:
            self._is_paused = True
            self._stream.pause_reading()
        elif self._is_paused and self._bytes <= MAX_QUEUED_BYTES // 2:
            self._is_paused = False
            self._stream.resume_reading()


def _size(request: Request) -> int:
    return max(len(request), MIN_REQUEST_BYTES) if isinstance(request, bytes) else MIN_REQUEST_BYTES
