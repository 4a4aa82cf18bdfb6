"""One upload: announce the file, send it in chunks, complete it, and compare it with the stored file.

The answers `fileReady` and `fileSaved` are extensions that a server may not have. The first upload waits for each of
them. If an answer does not arrive, later uploads do not wait for it. Without `fileSaved`, they are timed until the
kernel has accepted the last byte.
"""

from __future__ import annotations

import hashlib
import struct
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.client.protocol import CHUNK_BYTES, label_of
from stampede.measure.request_names import UPLOAD
from stampede.websocket.errors import LostError
from stampede.workload.schedule import SECOND

if TYPE_CHECKING:
    from random import Random

    from stampede.client.client import ChatClient
    from stampede.measure.measures import Measures

UPLOAD_INTERVAL: Final = 10 * SECOND
"""Nanoseconds between two uploads of one user; an upload that is later than this is skipped."""

_READY_SECONDS: Final = 5.0
_SAVED_SECONDS: Final = 30.0
_CHUNK_SECONDS: Final = 30.0

_encode: Final = msgspec.json.Encoder().encode
_END: Final = b'{"type":"fileEnd"}'


class _FailedError(Exception):
    """The upload failed; the text is the label under which the failure is counted."""


def upload(client: ChatClient, measures: Measures, size: int, rng: Random, intended: int) -> None:
    """Upload `size` random bytes; count the result, timed from `intended`, when the upload was due."""
    request = measures.requests[UPLOAD]
    try:
        _announce(client, measures, size)
        digest = _send(client, size, rng)
        _complete(client, measures, size, digest)
    except _FailedError as error:
        if not client.was_dropped:
            request.failed(str(error))
    except LostError:
        if not client.was_dropped:
            request.failed("connection lost")
    else:
        request.done(monotonic_ns() - intended)


def _announce(client: ChatClient, measures: Measures, size: int) -> None:
    start = {"type": "fileStart", "name": "load-test.bin", "size": size, "mimeType": "application/octet-stream"}
    _request(client, measures, _encode(start), "fileReady", _READY_SECONDS)
    # The server may refuse at any time from here on; `_complete` handles what has arrived.
    client.expect(("fileSaved", "error"))


def _send(client: ChatClient, size: int, rng: Random) -> str:
    """Send the content; return its sha256 in hex."""
    digest = hashlib.sha256()
    for index, start in enumerate(range(0, size, CHUNK_BYTES)):
        data = rng.randbytes(min(CHUNK_BYTES, size - start))
        digest.update(data)
        if not client.send_binary(struct.pack(">I", index) + data, _CHUNK_SECONDS):
            raise _FailedError("chunk not sent in time")
    return digest.hexdigest()


def _complete(client: ChatClient, measures: Measures, size: int, digest: str) -> None:
    saved = _request(client, measures, _END, "fileSaved", _SAVED_SECONDS, expected=True)
    if saved is not None and (saved.get("size"), saved.get("sha256")) != (size, digest):
        raise _FailedError("stored file differs")


def _request(
    client: ChatClient, measures: Measures, message: bytes, kind: str, timeout: float, *, expected: bool = False
) -> dict[str, Any] | None:
    """Send a message and return its answer; None when this server has no such answer.

    Args:
        client: that uploads.
        measures: of this process; they record which answers the server has.
        message: to send.
        kind: type of the answer.
        timeout: seconds.
        expected: whether `client.expect` has been called already.
    """
    if not expected:
        client.expect((kind, "error"))
    if not client.send(message):
        raise _FailedError("write buffer full")
    if measures.lacks(kind):
        return None  # a refusal that arrives later is counted then
    if not measures.has(kind):
        timeout = min(timeout, _READY_SECONDS)
    answer = client.wait_for_answer(timeout)
    if answer is None:
        if measures.has(kind):
            raise _FailedError(f"no {kind}")
        measures.optional[kind] = False
        return None
    if answer["type"] == "error":
        raise _FailedError(label_of(answer))
    measures.optional[kind] = True
    return answer
