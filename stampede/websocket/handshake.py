"""The opening handshake of a connection: the upgrade request, and the server's HTTP response; without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.protocol import State

from stampede.websocket.errors import NotWebSocketError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.client import ClientProtocol

    from stampede.websocket.headers import Header

_HEAD_END: Final = b"\r\n\r\n"
_MAX_HEAD: Final = 64 * 1024


class Handshake:
    """One opening handshake. It passes the bytes of the response to the protocol, and those of frames to the caller.

    Attributes:
        succeeded: whether the server has accepted.
    """

    __slots__ = ("_head", "_headers", "_protocol", "_refused", "succeeded")

    def __init__(self, protocol: ClientProtocol, headers: Sequence[Header]) -> None:
        self._protocol = protocol
        self._headers = headers
        self._head = b""  # of the response, until it is complete
        self._refused = False
        self.succeeded = False

    def send_request(self) -> None:
        """Let the protocol send the upgrade request. A header of ours replaces one of the same name."""
        request = self._protocol.connect()
        for name, _ in self._headers:
            if name in request.headers:
                del request.headers[name]
        for name, value in self._headers:
            request.headers[name] = value
        self._protocol.send_request(request)

    def receive_data(self, data: bytes) -> bytes:
        """Handle received bytes; return those after the response, which belong to frames.

        Raises:
            RefusedError: the server refused, with a status and a reason.
            NotWebSocketError: the response is not that of a WebSocket server.
        """
        if self._refused:
            self._protocol.receive_data(data)
            self._raise_if_failed()
            return b""
        self._head = head = self._head + data
        end = head.find(_HEAD_END) + len(_HEAD_END)
        if end < len(_HEAD_END):
            if len(head) > _MAX_HEAD:
                raise NotWebSocketError("not a WebSocket server", "the answer is not an HTTP response")
            return b""
        self._protocol.receive_data(head[:end])
        if self._protocol.state is State.OPEN:
            self.succeeded = True
            self._protocol.events_received()
            return head[end:]
        self._refused = True  # the body follows, with the server's reason
        return self.receive_data(head[end:])

    def receive_eof(self) -> None:
        """Handle the end of the stream. It is always a failure, so this raises as `receive_data` does."""
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
            raise NotWebSocketError("not a WebSocket server", "the server does not speak HTTP/1.1")
        raise NotWebSocketError("not a WebSocket server", f"not a WebSocket server: {error}")
