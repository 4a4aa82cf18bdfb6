"""One connection's file transfer: the upload messages of the protocol, and their answers.

Everything that touches the disk goes through one lane, and so do the answers: they come in the order of what they
answer, and one that says that an upload was dropped comes when nothing of it is left.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from server.errors import ErrorCode, RequestError
from server.protocol import messages as wire
from server.runtime.exception_fields import exception_fields
from server.uploads.lane import Lane
from server.uploads.uploads import IDLE_SECONDS, PROGRESS_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.client import Client
    from server.context import Services, Timer
    from server.uploads.uploads import Upload

HOLD_BYTES: Final = 4 * wire.CHUNK_BYTES
"""A client with so much unwritten is not read from until half of it is on the disk; what came with it is kept."""

HOLD_JOBS: Final = 8
"""Nor is one with so many jobs before the disk."""

log = structlog.get_logger()


class Holdable(Protocol):
    """A connection that need not be read from."""

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""

    def resume_reading(self) -> None:
        """Read on."""


class FileTransfer:
    """Take one upload after the other from one client; the next may start while the last is being stored."""

    __slots__ = ("_client", "_holding", "_idle_timer", "_lane", "_peer", "_services", "_upload")

    def __init__(self, client: Client, peer: Holdable, services: Services) -> None:
        self._client = client
        self._peer = peer
        self._services = services
        self._lane = Lane(services.run_in_thread)
        self._upload: Upload | None = None
        self._idle_timer: Timer | None = None
        self._holding = False

    @property
    def is_active(self) -> bool:
        """Whether a file is coming in or being stored."""
        return self._upload is not None or self._lane.depth > 0

    def handle(self, message: wire.UploadMessage, now: float) -> None:
        """Start, complete or cancel; what cannot be done is answered with an `error`."""
        try:
            match message:
                case wire.FileStart():
                    self._start(message, now)
                case wire.FileEnd():
                    self._end()
                case wire.FileCancel():
                    self._drop(self._take("fileCancel"), "cancelled")
        except RequestError as error:
            self._refuse(error)
        self._regulate()

    def chunk(self, payload: bytes, now: float) -> None:
        """Take one chunk; a wrong one drops the upload, and is answered with an `error`."""
        upload = self._upload
        if upload is None:
            self._refuse(RequestError(ErrorCode.UPLOAD_MISSING, wire.FILE_CHUNK))
        else:
            try:
                upload.take(payload, now)
            except RequestError as error:
                self._drop(upload, "rejected", error)
            else:
                self._services.stats.upload_bytes += len(payload) - wire.CHUNK_HEADER_BYTES
                self._write(upload)
        self._regulate()

    def vanish(self) -> None:
        """Leave nothing behind of an upload whose client is gone."""
        if self._upload is not None:
            self._drop(self._upload, "vanished")

    def _start(self, message: wire.FileStart, now: float) -> None:
        if self._upload is not None:
            raise RequestError(ErrorCode.UPLOAD_ACTIVE, "fileStart")
        upload = self._services.uploads.admit(secrets.token_hex(16), message, now)
        self._upload = upload
        self._add(upload, upload.file.open, self._opened, "fileStart")

    def _opened(self, upload: Upload, _: object) -> None:
        """Tell that an upload is ready, even if it was dropped meanwhile: answers do not depend on the disk's speed."""
        if upload is self._upload:
            self._idle_timer = self._services.call_later(IDLE_SECONDS, lambda: self._check_idle(upload))
        self._services.hub.reply(self._client, wire.FileReady(upload_id=upload.upload_id, chunk_size=wire.CHUNK_BYTES))

    def _write(self, upload: Upload) -> None:
        if not upload.writing:
            upload.writing = True
            self._add(upload, upload.file.write, self._written, wire.FILE_CHUNK)

    def _written(self, upload: Upload, _: object) -> None:
        upload.writing = False
        if upload.outcome:
            return
        upload.heard_at = now = self._services.clock()  # a disk that takes its time does not make the client idle
        if upload.file.unwritten:
            self._write(upload)
        if now - upload.progress_at >= PROGRESS_SECONDS:
            upload.progress_at = now
            size = upload.start.size
            progress = wire.FileProgress(upload_id=upload.upload_id, received=upload.file.written, size=size)
            self._services.hub.reply(self._client, progress)

    def _take(self, about: str) -> Upload:
        upload = self._upload
        if upload is None:
            raise RequestError(ErrorCode.UPLOAD_MISSING, about)
        self._let_go()
        return upload

    def _let_go(self) -> None:
        """Expect nothing more of the upload; a timer left behind would keep a client in memory that is long gone."""
        self._upload = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _end(self) -> None:
        upload = self._take("fileEnd")
        if upload.complete:
            self._add(upload, upload.file.finish, self._stored, "fileEnd")
        else:
            self._drop(upload, "rejected", RequestError(ErrorCode.UPLOAD_INCOMPLETE, "fileEnd"))

    def _stored(self, upload: Upload, saved: wire.FileSaved) -> None:
        services = self._services
        now = services.clock()
        upload.outcome = "saved"
        services.uploads.settle(upload, now)
        services.hub.reply(self._client, saved)
        services.hub.share_file(self._client, saved.name, saved.size, upload.start.mime_type, now)

    def _drop(self, upload: Upload, outcome: str, error: RequestError | None = None) -> None:
        """Have everything removed that there is of an upload, then count it and tell why."""
        if upload is self._upload:
            self._let_go()
        upload.outcome = outcome
        upload.file.abandon()

        def discarded(result: BaseException | None) -> None:
            if result is not None:
                log.error("upload not removed", upload=upload.upload_id, **exception_fields(result))
            self._services.uploads.settle(upload, self._services.clock())
            if error is not None:
                self._services.hub.refuse(self._client, error)
            self._regulate()

        self._lane.add(upload.file.discard, discarded)

    def _add(self, upload: Upload, work: Callable[[], object], done: Callable[[Upload, Any], None], about: str) -> None:
        """Have disk work done for an upload; should it fail, the upload is dropped, unless it has ended meanwhile."""

        def ended(result: object) -> None:
            if not isinstance(result, BaseException):
                done(upload, result)
            elif not upload.outcome:
                log.error("upload failed", upload=upload.upload_id, about=about, **exception_fields(result))
                self._drop(upload, "failed", RequestError(ErrorCode.UPLOAD_STORAGE, about))
            self._regulate()

        self._lane.add(work, ended)

    def _refuse(self, error: RequestError) -> None:
        def act() -> None:
            self._services.hub.refuse(self._client, error)
            self._regulate()

        self._lane.then(act)

    def _regulate(self) -> None:
        """Read no faster than the disk writes."""
        unwritten = self._upload.file.unwritten if self._upload is not None else 0
        jobs = self._lane.depth
        if not self._holding and (unwritten > HOLD_BYTES or jobs > HOLD_JOBS):
            self._holding = True
            self._peer.pause_reading()
        elif self._holding and unwritten <= HOLD_BYTES // 2 and jobs <= HOLD_JOBS // 2:
            self._holding = False
            self._peer.resume_reading()

    def _check_idle(self, upload: Upload) -> None:
        if upload is not self._upload:
            return
        left = upload.heard_at + IDLE_SECONDS - self._services.clock()
        if upload.writing:
            left = max(left, IDLE_SECONDS)
        if left > 0:
            self._idle_timer = self._services.call_later(left, lambda: self._check_idle(upload))
        else:
            self._drop(upload, "idle", RequestError(ErrorCode.UPLOAD_IDLE, wire.FILE_CHUNK))
