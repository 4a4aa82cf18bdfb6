"""One connection's file transfer: the upload messages of the protocol, and their answers."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from server import messages as wire
from server.errors import ErrorCode, RequestError
from server.uploads import IDLE_SECONDS, PROGRESS_SECONDS

if TYPE_CHECKING:
    from server.hub import Client
    from server.services import Services
    from server.uploads import Upload


class FileTransfer:
    """Take one upload after the other from one client; the next may start while the last is being stored."""

    __slots__ = ("_client", "_services", "_storing", "_upload")

    def __init__(self, client: Client, services: Services) -> None:
        self._client = client
        self._services = services
        self._upload: Upload | None = None
        self._storing = 0

    @property
    def is_active(self) -> bool:
        """Whether a file is coming in or being stored."""
        return self._upload is not None or self._storing > 0

    def handle(self, message: wire.UploadMessage, now: float) -> None:
        """Start, complete or cancel.

        Raises:
            RequestError: it cannot be done; an upload that was in progress is gone then, unless it is the reason.
        """
        match message:
            case wire.FileStart():
                self._start(message, now)
            case wire.FileEnd():
                self._end()
            case wire.FileCancel():
                self._services.uploads.drop(self._take("fileCancel"), "cancelled")

    def chunk(self, payload: bytes, now: float) -> None:
        """Take one chunk.

        Raises:
            RequestError: no upload is in progress, or the chunk is wrong, which drops the upload.
        """
        upload = self._upload
        if upload is None:
            raise RequestError(ErrorCode.UPLOAD_MISSING, wire.FILE_CHUNK)
        try:
            self._services.uploads.write(upload, payload, now)
        except RequestError:
            self._upload = None
            raise
        if now - upload.progress_at >= PROGRESS_SECONDS:
            upload.progress_at = now
            self._services.hub.reply(
                self._client,
                wire.FileProgress(upload_id=upload.upload_id, received=upload.received, size=upload.size),
            )

    def vanish(self) -> None:
        """Leave nothing behind of an upload whose client is gone."""
        if self._upload is not None:
            self._services.uploads.drop(self._upload, "vanished")
            self._upload = None

    def _start(self, message: wire.FileStart, now: float) -> None:
        if self._upload is not None:
            raise RequestError(ErrorCode.UPLOAD_ACTIVE, "fileStart")
        upload = self._services.uploads.start(secrets.token_hex(16), message, now)
        self._upload = upload
        self._services.call_later(IDLE_SECONDS, lambda: self._check_idle(upload))
        self._services.hub.reply(self._client, wire.FileReady(upload_id=upload.upload_id, chunk_size=wire.CHUNK_BYTES))

    def _take(self, about: str) -> Upload:
        upload, self._upload = self._upload, None
        if upload is None:
            raise RequestError(ErrorCode.UPLOAD_MISSING, about)
        return upload

    def _end(self) -> None:
        upload = self._take("fileEnd")
        services = self._services
        if not upload.complete:
            services.uploads.drop(upload, "rejected")
            raise RequestError(ErrorCode.UPLOAD_INCOMPLETE, "fileEnd")

        def settled(outcome: wire.FileSaved | BaseException) -> None:
            now = services.clock()
            self._storing -= 1
            if isinstance(outcome, BaseException):
                services.uploads.settle(upload, stored=False, now=now)
                services.hub.refuse(self._client, RequestError(ErrorCode.UPLOAD_STORAGE, "fileEnd"))
            else:
                services.uploads.settle(upload, stored=True, now=now)
                services.hub.reply(self._client, outcome)
                services.hub.share_file(self._client, upload.name, upload.size, upload.mime_type, now)

        self._storing += 1
        services.run_in_thread(lambda: services.uploads.store(upload), settled)

    def _check_idle(self, upload: Upload) -> None:
        if upload is not self._upload:
            return
        left = upload.heard_at + IDLE_SECONDS - self._services.clock()
        if left > 0:
            self._services.call_later(left, lambda: self._check_idle(upload))
            return
        self._upload = None
        self._services.uploads.drop(upload, "idle")
        self._services.hub.refuse(self._client, RequestError(ErrorCode.UPLOAD_IDLE, wire.FILE_CHUNK))
