"""What happens on an upgraded connection, by path: chat, notifications, echo.

An endpoint gets whole messages, already checked to be UTF-8 where they are text, and writes whole frames.
"""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from server.chat.client import Client
from server.chat.member import SENT, SLOW, Member
from server.errors import CloseReason, ErrorCode, InvalidMessageError, RequestError
from server.protocol import messages as wire
from server.protocol.frames import binary_frame, text_frame
from server.stats import ECHO
from server.token_bucket import TokenBucket
from server.uploads.session import UploadSession
from server.uploads.uploads import MAX_UPLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.context import Services
    from server.settings import Settings

MAX_ECHO_BYTES: Final = 1024 * 1024

ECHO_BYTES: Final = 64 * 1024
"""What counts as one message on the echo path: a larger one counts as several."""

BURST_SECONDS: Final = 2
"""A client may send at once what its rate allows in so many seconds."""


class Peer(Member, Protocol):
    """The connection as an endpoint sees it."""

    def close(self, reason: CloseReason, text: str = "") -> None:
        """Say goodbye."""

    def pause(self, seconds: float) -> None:
        """Read nothing for a while."""

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""

    def resume_reading(self) -> None:
        """Read on, unless something else holds."""


class Endpoint(Protocol):
    """One upgraded connection's other half; times in seconds of the hub's clock."""

    @property
    def is_busy(self) -> bool:
        """Whether something is under way that a goodbye should wait for."""

    @property
    def username(self) -> str | None:
        """The name of the client, if it has one."""

    def opened(self) -> None:
        """Take note that the connection is open."""

    def text(self, payload: bytes, received_at: float, in_batch: bool = False) -> None:
        """Handle one text message; in_batch: it was received together with others."""

    def binary(self, payload: bytes, received_at: float) -> None:
        """Take one binary message."""

    def count_frame(self, size: int, received_at: float) -> None:
        """Take note of a frame of so many bytes that is not a whole text: a ping, a fragment, a chunk."""

    def catch_up(self) -> None:
        """Send at once whatever waits for this client."""

    def closed(self, now: float) -> None:
        """Take note that the connection is gone."""


class RateLimiter:
    """How fast one client may speak: above that it is slowed down, and closed when it goes on and on.

    Attributes:
        pace: None where there is no limit.
    """

    __slots__ = ("_excess", "_most", "_peer", "_stats", "_throttled_at", "pace")

    def __init__(self, peer: Peer, services: Services) -> None:
        rate = services.settings.message_rate
        self._most = BURST_SECONDS * rate
        self.pace = TokenBucket(rate, self._most) if rate else None
        self._peer = peer
        self._stats = services.stats
        self._excess = 0  # since the client last kept to it
        self._throttled_at = -math.inf

    def throttle(self, pace: TokenBucket, label: str, now: float) -> bool:
        """Count one over the limit, and slow its sender down; return whether it is the first since it kept to it."""
        self._stats.rate_limited[label] += 1
        # A client that sent too much and has then kept to its rate for a burst's length starts again.
        self._excess = 1 if now - self._throttled_at >= BURST_SECONDS else self._excess + 1
        self._throttled_at = now
        if self._excess > self._most:
            self._peer.close(CloseReason.POLICY, "too many messages")
        else:
            self._peer.pause(pace.wait(now))
        return self._excess == 1

    def count_frame(self, size: int, now: float) -> None:
        """Count a frame that is no message of its own, or that carries little: it costs as much as a message."""
        pace = self.pace
        if size < wire.CHUNK_BYTES and pace is not None and not pace.take(now):
            self.throttle(pace, "frames", now)


class ChatEndpoint:
    """The chat protocol."""

    __slots__ = ("_client", "_is_proven", "_limit", "_pace", "_peer", "_services", "_uploads", "_work", "count_frame")

    def __init__(self, peer: Peer, services: Services, username: str | None) -> None:
        settings = services.settings
        self._services = services
        self._peer = peer
        self._client = Client(secrets.token_hex(8), peer)
        self._client.username = username
        self._is_proven = username is not None
        self._uploads: UploadSession | None = None  # made with the first upload: most clients never have one
        self._work = settings.work_per_message
        self._limit = RateLimiter(peer, services)
        self._pace = self._limit.pace
        self.count_frame = self._limit.count_frame

    @property
    def is_busy(self) -> bool:
        """Whether a file is on its way in."""
        return self._uploads is not None and self._uploads.is_active

    @property
    def username(self) -> str | None:
        """The name of the client, once it has given one."""
        return self._client.username

    def opened(self) -> None:
        """Greet the client."""
        greeting = wire.Connected(
            client_id=self._client.client_id,
            heartbeat_interval=self._services.settings.heartbeat_interval,
            max_message_bytes=wire.MAX_TEXT_BYTES,
            max_upload_bytes=MAX_UPLOAD_BYTES,
        )
        self._services.hub.connect(self._client, greeting)

    def text(self, payload: bytes, received_at: float, in_batch: bool = False) -> None:
        """Decode one message and let it take effect; what is wrong with it is answered with an `error`."""
        if self._pace is not None and not self._pace.take(received_at):
            if self._limit.throttle(self._pace, "messages", received_at):
                self._refuse(RequestError(ErrorCode.RATE_LIMITED))
            return
        try:
            message = wire.decode(payload)
            services = self._services
            services.stats.messages_received[wire.TYPE_OF[type(message)]] += 1
            if self._work:
                burn(self._work)
            if isinstance(message, wire.UploadMessage):
                self._upload_session().handle(message)
            elif self._is_proven and isinstance(message, wire.SetUsername):
                self._refuse(RequestError(ErrorCode.NAME_FIXED, "setUsername"))
            else:
                services.hub.handle(self._client, message, received_at, in_batch)
        except RequestError as error:
            self._refuse(error)

    def binary(self, payload: bytes, _received_at: float) -> None:
        """Take one chunk of an upload."""
        self._services.stats.messages_received[wire.FILE_CHUNK] += 1
        if self._work:
            burn(self._work)
        self._upload_session().handle(payload)

    def catch_up(self) -> None:
        """Send at once what waits for the end of the tick."""
        self._services.hub.flush_to(self._client)

    def closed(self, now: float) -> None:
        """Leave: the room hears it, an unfinished upload is removed."""
        if self._uploads is not None:
            self._uploads.disconnect()
        self._services.hub.disconnect(self._client, now)

    def _upload_session(self) -> UploadSession:
        if self._uploads is None:
            services = self._services
            self._uploads = UploadSession(
                self._client,
                self._peer,
                hub=services.hub,
                store=services.uploads,
                stats=services.stats,
                clock=services.clock,
                run_in_thread=services.run_in_thread,
            )
        return self._uploads

    def _refuse(self, error: RequestError) -> None:
        if isinstance(error, InvalidMessageError):
            self._services.stats.invalid_messages[error.error.code] += 1
        self._services.hub.refuse(self._client, error)


class NotificationsEndpoint:
    """Receive only: what happens on the server as a whole."""

    __slots__ = ("_client", "_limit", "_services", "count_frame", "username")

    def __init__(self, peer: Peer, services: Services, username: str | None) -> None:
        self._services = services
        self._limit = RateLimiter(peer, services)
        self.count_frame = self._limit.count_frame
        self._client = Client(secrets.token_hex(8), peer)
        self.username = username

    is_busy = False

    def opened(self) -> None:
        """Start watching."""
        self._services.hub.watch(self._client)

    def text(self, payload: bytes, received_at: float, in_batch: bool = False) -> None:
        """Refuse what a watcher sends."""
        pace = self._limit.pace
        if pace is None or pace.take(received_at):
            self.binary(payload, received_at)
        else:
            self._limit.throttle(pace, "messages", received_at)

    def binary(self, _payload: bytes, _received_at: float) -> None:
        """Refuse what a watcher sends."""
        self._services.stats.invalid_messages[ErrorCode.RECEIVE_ONLY.code] += 1
        self._services.hub.refuse(self._client, RequestError(ErrorCode.RECEIVE_ONLY))

    def catch_up(self) -> None:
        """Send at once what waits for the end of the tick."""
        self._services.hub.registry.watchers.flush_to(self._client)

    def closed(self, _now: float) -> None:
        """Stop watching."""
        self._services.hub.unwatch(self._client)


class EchoEndpoint:
    """Send every message back: the protocol floor for latency measurements and conformance suites.

    A client above `--echo-rate` is read from more slowly; nothing that it sent is dropped.
    """

    __slots__ = ("_pace", "_peer", "_stats", "username")

    def __init__(self, peer: Peer, services: Services, username: str | None) -> None:
        rate = services.settings.echo_rate
        self._pace = TokenBucket(rate, BURST_SECONDS * rate) if rate else None
        self._peer = peer
        self._stats = services.stats
        self.username = username

    is_busy = False

    def opened(self) -> None:
        """Say nothing: an echo only answers."""

    def text(self, payload: bytes, received_at: float, in_batch: bool = False) -> None:
        """Send a text message back."""
        self._echo(text_frame(payload))
        if self._pace is not None:
            self._charge(self._pace, "messages", len(payload), received_at)

    def binary(self, payload: bytes, _received_at: float) -> None:
        """Send a binary message back."""
        self._echo(binary_frame(payload))

    def count_frame(self, size: int, received_at: float) -> None:
        """Count a binary message, a fragment or a control frame."""
        if self._pace is not None:
            self._charge(self._pace, "frames", size, received_at)

    def catch_up(self) -> None:
        """Send nothing: an echo never waits."""

    def closed(self, _now: float) -> None:
        """Forget nothing: an echo remembers nothing."""

    def _charge(self, pace: TokenBucket, label: str, size: int, now: float) -> None:
        """Count what was taken, and read nothing until that much is allowed."""
        pace.charge(now, 1 + size // ECHO_BYTES)
        wait = pace.wait(now)
        if wait:
            self._stats.rate_limited[label] += 1
            self._peer.pause(wait)

    def _echo(self, frame: bytes) -> None:
        self._stats.messages_received[ECHO] += 1
        result = self._peer.write(frame)
        if result is SLOW:
            result = self._peer.enqueue(frame)
        if result is SENT:
            self._stats.messages_delivered[ECHO] += 1


@dataclass(frozen=True, slots=True)
class Route:
    """What an upgrade path serves; `max_size` is the largest message in bytes, fragments added up."""

    endpoint: Callable[[Peer, Services, str | None], Endpoint]
    max_size: int


ROUTES: Final = {
    "/": Route(ChatEndpoint, wire.MAX_FRAME_BYTES),
    "/chat": Route(ChatEndpoint, wire.MAX_FRAME_BYTES),
    "/ws/chat": Route(ChatEndpoint, wire.MAX_FRAME_BYTES),
    "/ws/notifications": Route(NotificationsEndpoint, wire.MAX_FRAME_BYTES),
    "/ws/echo": Route(EchoEndpoint, MAX_ECHO_BYTES),
}


def routes(settings: Settings) -> dict[str, Route]:
    """Return the paths that are served."""
    is_on = {"/ws/notifications": settings.notifications, "/ws/echo": settings.echo}
    return {path: served for path, served in ROUTES.items() if is_on.get(path, True)}


def burn(seconds: float) -> None:
    """Use that much CPU time of this thread, as an application's own work would; time off the CPU does not count."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
