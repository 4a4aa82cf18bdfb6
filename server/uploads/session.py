"""The uploads of one connection: a task that handles the client's upload requests one after the other.

The task starts with `fileStart` and ends when no upload is open and no request is queued. It awaits each disk access
before it handles the next request. Answers therefore come in the order of the requests, and the answer about a dropped
upload comes after the removal of its partial file.
"""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from server.errors import ErrorCode, RequestError
from server.protocol import messages as wire
from server.runtime.exception_fields import exception_fields
from server.uploads.request_queue import RequestQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.client import Client
    from server.chat.hub import Hub
    from server.stats import ServerStats
    from server.uploads.daemon_threads import RunInThread, T
    from server.uploads.request_queue import PausableStream, Request
    from server.uploads.uploads import Upload, UploadStore

IDLE_SECONDS: Final = 30.0
"""An upload is dropped when no chunk has arrived for this long."""

PROGRESS_SECONDS: Final = 0.25
"""Minimum time between two `fileProgress` messages."""

log = structlog.get_logger()


class UploadDroppedError(Exception):
    """An upload ended without a stored file.

    Attributes:
        outcome: label of the metric `chat_uploads_total`.
        error: answer for the client, if there is one.
    """

    def __init__(self, outcome: str, error: RequestError | None = None) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.error = error


class UploadSession:
    """Receive the uploads of one client, one at a time.

    Args:
        client: receives the answers.
        stream: its reading is paused while too much is queued.
        hub: sends the answers and announces stored files to the room.
        store: admits uploads and counts their outcomes.
        stats: counts received bytes.
        clock: returns monotonic seconds.
        run_in_thread: runs disk access.
    """

    __slots__ = ("_client", "_clock", "_hub", "_queue", "_run_in_thread", "_stats", "_store", "_task")

    def __init__(
        self,
        client: Client,
        stream: PausableStream,
        *,
        hub: Hub,
        store: UploadStore,
        stats: ServerStats,
        clock: Callable[[], float],
        run_in_thread: RunInThread,
    ) -> None:
        self._client = client
        self._hub = hub
        self._store = store
        self._stats = stats
        self._clock = clock
        self._run_in_thread = run_in_thread
        self._queue = RequestQueue(stream)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_active(self) -> bool:
        """Whether an upload is open or a request is queued."""
        return self._task is not None

    def handle(self, request: wire.UploadMessage | bytes) -> None:
        """Handle an upload message or a chunk; an invalid one is answered with an `error`."""
        if self._task is not None:
            self._queue.put(request)
        elif isinstance(request, wire.FileStart):
            self._queue.put(request)
            self._task = asyncio.create_task(self._run())
        else:
            self._refuse(ErrorCode.UPLOAD_MISSING, _type_of(request))

    def disconnect(self) -> None:
        """Drop the open upload after the requests that came before the client disconnected."""
        if self._task is not None:
            self._queue.put(None)

    async def _run(self) -> None:
        try:
            while self._queue:
                request = await self._queue.get()
                if isinstance(request, wire.FileStart):
                    await self._handle_upload(request)
                elif request is not None:
                    self._refuse(ErrorCode.UPLOAD_MISSING, _type_of(request))
        finally:
            self._task = None

    async def _handle_upload(self, start: wire.FileStart) -> None:
        """Handle the requests from `fileStart` to the end of its upload."""
        try:
            upload = self._store.admit(secrets.token_hex(16), start, self._clock())
        except RequestError as error:
            self._hub.refuse(self._client, error)
            return
        try:
            saved = await self._receive(upload)
        except UploadDroppedError as dropped:
            await self._discard(upload)
            self._store.settle(upload, dropped.outcome, self._clock())
            if dropped.outcome == "failed":
                self._queue.skip_upload()  # sent before the client received the first answer; one answer is enough
            if dropped.error is not None:
                self._hub.refuse(self._client, dropped.error)
        else:
            now = self._clock()
            self._store.settle(upload, "saved", now)
            self._hub.reply(self._client, saved)
            self._hub.share_file(self._client, saved, start.mime_type, now)

    async def _receive(self, upload: Upload) -> wire.FileSaved:
        """Write the chunks of an upload to the disk and return the answer to its `fileEnd`.

        Raises:
            UploadDroppedError: the upload was cancelled, invalid or idle, the disk failed, or the client disconnected.
        """
        await self._access_disk(upload, upload.file.open, "fileStart")
        self._hub.reply(self._client, wire.FileReady(upload_id=upload.upload_id, chunk_size=wire.CHUNK_BYTES))
        idle_at = self._clock() + IDLE_SECONDS
        while True:
            request = await self._next_request(idle_at)
            match request:
                case bytes():
                    await self._write_chunk(upload, request)
                    idle_at = self._clock() + IDLE_SECONDS  # from the end of the write: a slow disk is not the client's
                case wire.FileStart():
                    self._refuse(ErrorCode.UPLOAD_ACTIVE, "fileStart")
                case wire.FileCancel():
                    raise UploadDroppedError("cancelled")
                case wire.FileEnd():
                    if not upload.is_complete:
                        raise UploadDroppedError("rejected", RequestError(ErrorCode.UPLOAD_INCOMPLETE, "fileEnd"))
                    return await self._access_disk(upload, upload.file.finish, "fileEnd")
                case None:
                    raise UploadDroppedError("vanished")

    async def _next_request(self, idle_at: float) -> Request:
        try:
            async with asyncio.timeout(idle_at - self._clock()):
                return await self._queue.get()
        except TimeoutError:
            raise UploadDroppedError("idle", RequestError(ErrorCode.UPLOAD_IDLE, wire.FILE_CHUNK)) from None

    async def _write_chunk(self, upload: Upload, payload: bytes) -> None:
        try:
            index, data = upload.accept(payload)
        except RequestError as error:
            raise UploadDroppedError("rejected", error) from None
        self._stats.upload_bytes += len(data)
        await self._access_disk(upload, partial(upload.file.write, index, data), wire.FILE_CHUNK)
        now = self._clock()
        if now - upload.progress_at >= PROGRESS_SECONDS:
            upload.progress_at = now
            progress = wire.FileProgress(
                upload_id=upload.upload_id, received=upload.file.written, size=upload.start.size
            )
            self._hub.reply(self._client, progress)

    async def _access_disk(self, upload: Upload, function: Callable[[], T], about: str) -> T:
        """Run a function of the upload's file in a thread; `about` is the request that it belongs to."""
        try:
            return await self._run_in_thread(function)
        except Exception as error:  # noqa: BLE001 - any failure costs this upload only
            log.error("upload failed", upload=upload.upload_id, about=about, **exception_fields(error))  # noqa: TRY400 - the fields name the exception
            raise UploadDroppedError("failed", RequestError(ErrorCode.UPLOAD_STORAGE, about)) from None

    async def _discard(self, upload: Upload) -> None:
        try:
            await self._run_in_thread(upload.file.discard)
        except Exception as error:  # noqa: BLE001 - the next start of the server removes the file
            log.error("upload not removed", upload=upload.upload_id, **exception_fields(error))  # noqa: TRY400 - the fields name the exception

    def _refuse(self, code: ErrorCode, about: str) -> None:
        self._hub.refuse(self._client, RequestError(code, about))


def _type_of(request: wire.UploadMessage | bytes) -> str:
    return wire.FILE_CHUNK if isinstance(request, bytes) else wire.TYPE_OF[type(request)]
