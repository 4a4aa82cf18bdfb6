"""The endpoints of the WebSocket paths: chat, notifications, echo.

An endpoint receives whole messages, whose text is checked to be UTF-8, and writes whole frames.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final, Protocol

from server.chat.client import Client
from server.chat.member import SENT, SLOW, Member
from server.errors import CloseReason, ErrorCode, InvalidMessageError, RequestError
from server.protocol import messages as wire
from server.stats import ECHO
from server.token_bucket import TokenBucket
from server.uploads.session import UploadSession
from server.uploads.uploads import MAX_UPLOAD_BYTES
from server.websocket.rate_limit import BURST_SECONDS, RateLimiter
from stampede.websocket.frames import binary_frame, text_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.websocket.context import ServerContext
    from server.websocket.inbound import InboundStream

ECHO_BYTES: Final = 64 * 1024
"""Size of one message for the rate limit of the echo path; a larger message counts as several."""


def _draw_client_ids() -> Iterator[str]:
    """Yield random ids of 16 digits. One system call draws many: one for each connection would cost it 1 us."""
    while True:
        digits = secrets.token_hex(16 // 2 * 256)
        yield from (digits[start : start + 16] for start in range(0, len(digits), 16))


_client_ids: Final = _draw_client_ids()


class Peer(Member, Protocol):
    """The connection, as an endpoint uses it."""

    inbound: InboundStream

    def close(self, reason: CloseReason, text: str = "") -> None:
        """Send a close frame and end the connection."""


class Endpoint(Protocol):
    """The application's side of one connection; times in seconds of the hub's clock."""

    @property
    def is_busy(self) -> bool:
        """Whether an upload is in progress, for which a drain waits."""

    @property
    def username(self) -> str | None:
        """The client's name, or None without one."""

    def opened(self) -> bytes:
        """Return the first frames of a connection, which then receives all others."""

    def text(self, payload: bytes, received_at: float, in_batch: bool = False) -> None:
        """Handle a text message; `in_batch`: it was received together with others."""

    def binary(self, payload: bytes, received_at: float) -> None:
        """Handle a binary message."""

    def count_frame(self, size: int, received_at: float) -> None:
        """Count a frame of `size` bytes that is not a whole text message: a control frame, a fragment, a chunk."""

    def flush(self) -> None:
        """Send the messages that wait for this client until the end of the event loop iteration."""

    def closed(self, now: float) -> None:
        """Release the resources of the connection; called once."""


class ChatEndpoint:
    """The chat protocol."""

    __slots__ = ("_client", "_context", "_is_name_fixed", "_limiter", "_peer", "_uploads", "_work")

    def __init__(self, peer: Peer, context: ServerContext, username: str | None) -> None:
        self._context = context
        self._peer = peer
        self._client = Client(next(_client_ids), peer)
        self._client.username = username
        self._is_name_fixed = username is not None
        self._uploads: UploadSession | None = None  # made for the first upload: most clients have none
        self._work = context.settings.work_per_message
        self._limiter = RateLimiter(peer, context.stats, context.settings.message_rate)

    @property
    def is_busy(self) -> bool:
        """Whether an upload is in progress."""
        return self._uploads is not None and self._uploads.is_active

    @property
    def username(self) -> str | None:
        """The client's name, once it is set."""
        return self._client.username

    def opened(self) -> bytes:
        """Add the client to the hub, and return the frame of `connected`."""
        greeting = wire.Connected(
            client_id=self._client.client_id,
            heartbeat_interval=self._context.settings.heartbeat_interval,
            max_message_bytes=wire.MAX_TEXT_BYTES,
            max_upload_bytes=MAX_UPLOAD_BYTES,
        )
        return self._context.hub.connect(self._client, greeting)

    def text(self, payload: bytes, received_at: float, in_batch: bool = False) -> None:
        """Decode a message and pass it to the hub or to the upload; send an `error` if that fails."""
        if not self._limiter.bucket.take(received_at):
            if self._limiter.throttle("messages", received_at):
                self._refuse(RequestError(ErrorCode.RATE_LIMITED))
            return
        try:
            message = wire.decode(payload)
            context = self._context
            context.stats.messages_received[wire.TYPE_OF[type(message)]] += 1
            if self._work:
                burn(self._work)
            if isinstance(message, wire.UploadMessage):
                self._upload_session().handle(message)
            elif self._is_name_fixed and isinstance(message, wire.SetUsername):
                self._refuse(RequestError(ErrorCode.NAME_FIXED, "setUsername"))
            else:
                context.hub.handle(self._client, message, received_at, in_batch)
        except RequestError as error:
            self._refuse(error)

    def binary(self, payload: bytes, _received_at: float) -> None:
        """Pass a chunk to the upload."""
        self._context.stats.messages_received[wire.FILE_CHUNK] += 1
        if self._work:
            burn(self._work)
        self._upload_session().handle(payload)

    def count_frame(self, size: int, received_at: float) -> None:
        """Count a frame against the client's message rate."""
        self._limiter.count_frame(size, received_at)

    def flush(self) -> None:
        """Send the messages that wait for this client until the end of the event loop iteration."""
        self._context.hub.flush_to(self._client)

    def closed(self, now: float) -> None:
        """Leave the room and drop an unfinished upload."""
        if self._uploads is not None:
            self._uploads.disconnect()
        self._context.hub.disconnect(self._client, now)

    def _upload_session(self) -> UploadSession:
        if self._uploads is None:
            context = self._context
            self._uploads = UploadSession(
                self._client,
                self._peer.inbound,
                hub=context.hub,
                store=context.uploads,
                stats=context.stats,
                clock=context.clock,
                run_in_thread=context.run_in_thread,
            )
        return self._uploads

    def _refuse(self, error: RequestError) -> None:
        if isinstance(error, InvalidMessageError):
            self._context.stats.invalid_messages[error.error.code] += 1
        self._context.hub.refuse(self._client, error)


class NotificationsEndpoint:
    """Notifications about the server as a whole; messages from the client are refused."""

    __slots__ = ("_client", "_context", "_limiter", "username")

    def __init__(self, peer: Peer, context: ServerContext, username: str | None) -> None:
        self._context = context
        self._limiter = RateLimiter(peer, context.stats, context.settings.message_rate)
        self._client = Client(next(_client_ids), peer)
        self.username = username

    is_busy = False

    def opened(self) -> bytes:
        """Add the client to the hub's watchers, and return the frames of the latest load reports."""
        return self._context.hub.watch(self._client)

    def text(self, payload: bytes, received_at: float, in_batch: bool = False) -> None:
        """Refuse a message, within the client's message rate."""
        if self._limiter.bucket.take(received_at):
            self.binary(payload, received_at)
        else:
            self._limiter.throttle("messages", received_at)

    def binary(self, _payload: bytes, _received_at: float) -> None:
        """Refuse a message."""
        self._context.stats.invalid_messages[ErrorCode.RECEIVE_ONLY.code] += 1
        self._context.hub.refuse(self._client, RequestError(ErrorCode.RECEIVE_ONLY))

    def count_frame(self, size: int, received_at: float) -> None:
        """Count a frame against the client's message rate."""
        self._limiter.count_frame(size, received_at)

    def flush(self) -> None:
        """Send the notifications that wait for this client until the end of the event loop iteration."""
        self._context.hub.registry.watchers.flush_to(self._client)

    def closed(self, _now: float) -> None:
        """Remove the client from the hub's watchers."""
        self._context.hub.unwatch(self._client)


class EchoEndpoint:
    """Send every message back: for latency measurements and conformance suites.

    Reading from a client above `--echo-rate` is paused; no message is dropped.
    """

    __slots__ = ("_bucket", "_peer", "_stats", "username")

    def __init__(self, peer: Peer, context: ServerContext, username: str | None) -> None:
        rate = context.settings.echo_rate
        self._bucket = TokenBucket(rate, BURST_SECONDS * rate)
        self._peer = peer
        self._stats = context.stats
        self.username = username

    is_busy = False

    def opened(self) -> bytes:
        """Return no frame."""
        return b""

    def text(self, payload: bytes, received_at: float, in_batch: bool = False) -> None:
        """Send a text message back."""
        self._echo(text_frame(payload))
        self._charge("messages", len(payload), received_at)

    def binary(self, payload: bytes, _received_at: float) -> None:
        """Send a binary message back; `count_frame` charges for it."""
        self._echo(binary_frame(payload))

    def count_frame(self, size: int, received_at: float) -> None:
        """Count a binary message, a fragment or a control frame."""
        self._charge("frames", size, received_at)

    def flush(self) -> None:
        """Do nothing: no message waits here."""

    def closed(self, _now: float) -> None:
        """Do nothing: there is nothing to release."""

    def _charge(self, label: str, size: int, now: float) -> None:
        """Charge received messages, and pause reading until the rate allows the next one."""
        self._bucket.charge(now, 1 + size // ECHO_BYTES)
        wait = self._bucket.wait(now)
        if wait:
            self._stats.rate_limited[label] += 1
            self._peer.inbound.pause_reading_for(wait)

    def _echo(self, frame: bytes) -> None:
        self._stats.messages_received[ECHO] += 1
        result = self._peer.write(frame)
        if result is SLOW:
            result = self._peer.enqueue(frame)
        if result is SENT:
            self._stats.messages_delivered[ECHO] += 1


def burn(seconds: float) -> None:
    """Use CPU time of this thread, as an application's own work would; time off the CPU does not count."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
