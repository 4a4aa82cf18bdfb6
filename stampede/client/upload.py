"""One upload: announce, send in chunks, complete, and check what the server says it stored.

The protocol's two answers, `fileReady` and `fileSaved`, are additions that a server may not have. An answer that has
never come is waited for once; from then on uploads are timed until the system has taken the last byte.
"""

from __future__ import annotations

import hashlib
import struct
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

import msgspec

from server.protocol.messages import CHUNK_BYTES
from stampede.client.client import label_of
from stampede.measure.measures import UPLOAD
from stampede.websocket.target import LostError
from stampede.workload.schedule import SECOND

if TYPE_CHECKING:
    from random import Random

    from stampede.client.client import ChatClient
    from stampede.measure.measures import Measures

UPLOAD_EVERY: Final = 10 * SECOND
"""Nanoseconds between two uploads of one user; one that cannot begin within as many is skipped."""

_READY_SECONDS: Final = 5.0
_SAVED_SECONDS: Final = 30.0
_CHUNK_SECONDS: Final = 30.0

_encode: Final = msgspec.json.Encoder().encode
_END: Final = b'{"type":"fileEnd"}'


class _FailedError(Exception):
    """The upload failed; its text is the label to count it under."""


def upload(client: ChatClient, measures: Measures, size: int, rng: Random, intended: int) -> None:
    """Upload `size` random bytes, and count how that went; timed from `intended`, when it was due."""
    request = measures.requests[UPLOAD]
    try:
        _announce(client, measures, size)
        digest = _send(client, size, rng)
        _complete(client, measures, size, digest)
    except _FailedError as error:
        if not client.cut:
            request.failed(str(error))
    except LostError:
        if not client.cut:
            request.failed("connection lost")
    else:
        request.done(monotonic_ns() - intended)


def _announce(client: ChatClient, measures: Measures, size: int) -> None:
    start = {"type": "fileStart", "name": "pool.bin", "size": size, "mimeType": "application/octet-stream"}
    _ask(client, measures, _encode(start), "fileReady", _READY_SECONDS)
    # From here on the server may refuse at any time; `_complete` looks at what came.
    client.expect(("fileSaved", "error"))


def _send(client: ChatClient, size: int, rng: Random) -> str:
    """Send the content and return its sha256 in hex."""
    digest = hashlib.sha256()
    for index, start in enumerate(range(0, size, CHUNK_BYTES)):
        data = rng.randbytes(min(CHUNK_BYTES, size - start))
        digest.update(data)
        if not client.send_binary(struct.pack(">I", index) + data, _CHUNK_SECONDS):
            raise _FailedError("chunk not taken")
    return digest.hexdigest()


def _complete(client: ChatClient, measures: Measures, size: int, digest: str) -> None:
    saved = _ask(client, measures, _END, "fileSaved", _SAVED_SECONDS, expected=True)
    if saved is not None and (saved.get("size"), saved.get("sha256")) != (size, digest):
        raise _FailedError("stored file differs")


def _ask(
    client: ChatClient, measures: Measures, message: bytes, kind: str, timeout: float, *, expected: bool = False
) -> dict[str, Any] | None:
    """Send a message and return its answer; None when this server has no such answer."""
    if not expected:
        client.expect((kind, "error"))
    if not client.send(message):
        raise _FailedError("message not taken")
    if measures.lacks(kind):
        # A refusal can still come, and is counted when it does.
        return None
    if not measures.has(kind):
        timeout = min(timeout, _READY_SECONDS)
    answer = client.answer(timeout)
    if answer is None:
        if measures.has(kind):
            raise _FailedError(f"no {kind}")
        measures.optional[kind] = False
        return None
    if answer["type"] == "error":
        raise _FailedError(label_of(answer))
    measures.optional[kind] = True
    return answer
