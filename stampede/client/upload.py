"""One upload: announce the file, send it in chunks, complete it, and compare it with the stored file.

Only the protocol of the bundled server has uploads. Its answers `fileReady` and `fileSaved` are extensions that a
server may not have. The first upload waits for each of them. If an answer does not arrive, later uploads do not wait
for it. Without `fileSaved`, they are timed until the kernel has accepted the last byte.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.client.replies import is_refusal
from stampede.dialects.events import Refused
from stampede.measure.request_names import UPLOAD

if TYPE_CHECKING:
    from stampede.client.chat_connection import ChatConnection
    from stampede.client.context import ClientContext
    from stampede.client.replies import Reply
    from stampede.dialects.events import Event

CHUNK_BYTES: Final = 64 * 1024
"""Bytes of file content in each chunk but the last."""

_READY_SECONDS: Final = 5.0
_SAVED_SECONDS: Final = 30.0
_CHUNK_SECONDS: Final = 30.0

_encode: Final = msgspec.json.Encoder().encode
_END: Final = b'{"type":"fileEnd"}'


class UploadError(Exception):
    """The upload failed; the text is the label under which the failure is counted."""


class Upload:
    """One upload of random bytes.

    Args:
        connection: that uploads.
        context: of its client.
        size: of the file, in bytes.
        name: of the file.
    """

    __slots__ = ("_connection", "_context", "_name", "_size")

    def __init__(self, connection: ChatConnection, context: ClientContext, size: int, name: str) -> None:
        self._connection = connection
        self._context = context
        self._size = size
        self._name = name

    def run(self) -> None:
        """Upload the file, and compare it with the stored one.

        Raises:
            UploadError: the upload failed.
            LostError: the connection ended.
        """
        start = {"type": "fileStart", "name": self._name, "size": self._size, "mimeType": "application/octet-stream"}
        self._exchange(_encode(start), self._expect("fileReady"), "fileReady", _READY_SECONDS)
        # The server may refuse at any time from here on; the last step handles what has arrived.
        saved = self._expect("fileSaved")
        try:
            digest = self._send_content()
            answer = self._exchange(_END, saved, "fileSaved", _SAVED_SECONDS)
        finally:
            self._connection.handler.replies.cancel(saved)
        if answer is not None and (answer.get("size"), answer.get("sha256")) != (self._size, digest):
            raise UploadError("stored file differs")

    def _expect(self, kind: str) -> Reply:
        def matches(event: Event) -> bool:
            return (event.message or {}).get("type") == kind or is_refusal(event, UPLOAD)

        return self._connection.handler.replies.expect(matches)

    def _send_content(self) -> str:
        """Send the content; return its sha256 in hex."""
        digest = hashlib.sha256()
        for index, start in enumerate(range(0, self._size, CHUNK_BYTES)):
            data = self._context.rng.randbytes(min(CHUNK_BYTES, self._size - start))
            digest.update(data)
            if not self._connection.send_binary(struct.pack(">I", index) + data, _CHUNK_SECONDS):
                raise UploadError("chunk not sent in time")
        return digest.hexdigest()

    def _exchange(self, message: bytes, reply: Reply, kind: str, timeout: float) -> dict[str, Any] | None:
        """Send a message and return its answer; None when this server has no such answer."""
        measures, replies = self._context.measures, self._connection.handler.replies
        if not self._connection.send(message):
            raise UploadError("write buffer full")
        if measures.lacks(kind):
            replies.cancel(reply)
            return None  # a refusal that arrives later is counted then
        if not measures.has(kind):
            timeout = min(timeout, _READY_SECONDS)
        answer = replies.wait(reply, timeout)
        if answer is None:
            if measures.has(kind):
                raise UploadError(f"no {kind}")
            measures.optional[kind] = False
            return None
        if isinstance(answer, Refused):
            raise UploadError(answer.label)
        measures.optional[kind] = True
        return answer.message
