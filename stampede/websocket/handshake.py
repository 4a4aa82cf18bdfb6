"""The HTTP half of a connection: says hello, reads the answer, and words what went wrong; knows no socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.protocol import State

from stampede.websocket.target import NotWebSocketError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.client import ClientProtocol

    from stampede.websocket.headers import Header

_HEAD_END: Final = b"\r\n\r\n"
_LARGEST_HEAD: Final = 64 * 1024


class Handshake:
    """One handshake over a protocol, which it feeds nothing that belongs to frames.

    Attributes:
        done: whether the server has agreed.
    """

    __slots__ = ("_head", "_headers", "_protocol", "_refused", "done")

    def __init__(self, protocol: ClientProtocol, headers: Sequence[Header]) -> None:
        self._protocol = protocol
        self._headers = headers
        self._head = b""  # of the response, until it is complete
        self._refused = False
        self.done = False

    def begin(self) -> None:
        """Let the protocol send its upgrade request; a header of ours replaces one of the same name."""
        request = self._protocol.connect()
        for name, _ in self._headers:
            if name in request.headers:
                del request.headers[name]
        for name, value in self._headers:
            request.headers[name] = value
        self._protocol.send_request(request)

    def take(self, data: bytes) -> bytes:
        """Take received bytes; return those that are no part of the answer any more, but of frames.

        Raises:
            RefusedError: the server said no, with a status and words.
            NotWebSocketError: it said something else.
        """
        if self._refused:
            self._protocol.receive_data(data)
            self._raise_if_failed()
            return b""
        self._head = head = self._head + data
        end = head.find(_HEAD_END) + len(_HEAD_END)
        if end < len(_HEAD_END):
            if len(head) > _LARGEST_HEAD:
                raise NotWebSocketError("not a WebSocket server", "the answer is no HTTP response")
            return b""
        self._protocol.receive_data(head[:end])
        if self._protocol.state is State.OPEN:
            self.done = True
            self._protocol.events_received()
            return head[end:]
        self._refused = True  # what follows is the body, with the server's words
        return self.take(head[end:])

    def end(self) -> None:
        """Take the end of the stream, which is always a failure; raises as `take` does."""
        self._protocol.receive_eof()
        self._raise_if_failed()
        raise NotWebSocketError("closed during handshake")

    def _raise_if_failed(self) -> None:
        error = self._protocol.handshake_exc
        if error is None:
            return
        if isinstance(error, InvalidStatus):
            body = bytes(error.response.body or b"").decode(errors="replace").strip()
            words = " ".join(body.split())[:200] or error.response.reason_phrase
            raise RefusedError(error.response.status_code, words)
        if isinstance(error, InvalidMessage):
            raise NotWebSocketError("not a WebSocket server", "what answers does not speak HTTP")
        raise NotWebSocketError("not a WebSocket server", f"not a WebSocket server: {error}")
