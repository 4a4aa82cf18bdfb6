"""The client that scenarios use: `self.client` of a `ChatUser`."""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final, Protocol

from gevent import GreenletExit, get_hub, getcurrent, sleep

from stampede.client.replies import reply_matcher
from stampede.client.sender import TOO_LATE
from stampede.client.upload import Upload, UploadError
from stampede.dialects.base import Feature
from stampede.dialects.events import Refused
from stampede.measure import request_names
from stampede.websocket.errors import LostError
from stampede.workload.schedule import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stampede.client.chat_connection import ChatConnection
    from stampede.client.context import ClientContext
    from stampede.client.poster import Poster
    from stampede.dialects.base import Message
    from stampede.ledger.counts import DeliveryCounts

UPLOAD_MAX_DELAY: Final = 10 * SECOND
"""Nanoseconds after its due time at which an upload that could not begin is skipped."""

_POLL_SECONDS: Final = 0.02
_PAUSE_AT_END: Final = 0.5


class Lifecycle(Protocol):
    """Connects the user of a client, and keeps it connected."""

    username: str

    @property
    def rooms(self) -> list[str]:
        """Names of the user's rooms, the first one first."""

    def connect(self) -> None:
        """Connect and join; retry until that succeeds."""

    def await_connection(self, timeout: float) -> None:
        """Wait until a lost or dropped connection has been replaced, `timeout` seconds at most."""

    def disconnect(self) -> None:
        """Close the connection and stay disconnected until `connect`."""

    def join(self, room: str) -> bool:
        """Join a room; return whether the server has confirmed that."""

    def leave(self, room: str | None) -> bool:
        """Leave a room and stay connected; return whether the server has confirmed that."""

    def sends_messages(self) -> None:
        """Record that the user sends chat messages."""


class ChatClient:
    """The chat client of a user.

    The client reconnects by itself: it opens a lost connection again with the user's backoff, and joins the room again.
    A method that is called meanwhile does not raise. It queues the message, skips it, or counts a failed request, as
    described for each method. The table of requests and the ledger show the outcome.

    Times are measured from the moment of the call. During an action of a `ScheduledUser` they are measured from the
    action's due time.
    """

    __slots__ = ("_connection", "_context", "_dialect", "_has_spoken", "_lifecycle", "_measures", "_poster", "due")

    def __init__(
        self, connection: ChatConnection, context: ClientContext, lifecycle: Lifecycle, poster: Poster | None = None
    ) -> None:
        self._connection = connection
        self._context = context
        self._measures = context.measures
        self._dialect = context.dialect
        self._lifecycle = lifecycle
        self._poster = poster
        self._has_spoken = False
        self.due = 0  # due time of the scheduled action in progress, in monotonic nanoseconds; 0 without one

    # --- state ---

    @property
    def is_connected(self) -> bool:
        """Whether the client is in its rooms, so that messages are sent at once."""
        return self._connection.is_ready

    @property
    def username(self) -> str:
        """Name of the user, unique in the run."""
        return self._lifecycle.username

    @property
    def room(self) -> str | None:
        """Name of the first of the user's rooms; None if it has none."""
        return next(iter(self._lifecycle.rooms), None)

    @property
    def rooms(self) -> list[str]:
        """Names of all rooms of the user. While `is_connected`, the user is in all of them."""
        return self._lifecycle.rooms

    @property
    def ledger(self) -> DeliveryCounts:
        """The ledger of all users of this process."""
        return self._measures.deliveries

    def _has_ended(self) -> bool:
        """Return whether the test is ending, so that nothing more is sent; a task that calls in a loop is paused."""
        if not self._context.is_draining:
            return False
        if getcurrent() is not get_hub():
            sleep(_PAUSE_AT_END)
        return True

    # --- chat ---

    def say(self, text: str = "", *, room: str | None = None) -> None:
        """Send a chat message with a stamp, which the ledger follows to every receiver.

        While the client is not in a room, or the connection is congested, the message waits up to five seconds. It is
        then skipped, which counts as a failed `WS send`.

        Args:
            text: follows the stamp; if empty, the message is padded to `--message-bytes`.
            room: name of one of the user's rooms; by default the first one.

        Raises:
            ValueError: the user has not joined this room.
        """
        if self._has_ended():
            return
        if room is not None and room not in self._lifecycle.rooms:
            raise ValueError(f"{self.username} is not in room {room!r}: join it first")
        if not self._has_spoken:
            self._has_spoken = True
            self._lifecycle.sends_messages()
        intended = self.due or monotonic_ns()
        if self._poster is not None:
            self._poster.say(intended, text or self._context.padding, room)
            return
        body = self._dialect.escape(text) if text else self._context.escaped_padding
        self._connection.sender.say(intended, body, room)

    def typing(self) -> None:
        """Send a `typing` notice. Notices are dropped, not queued: a late one is wrong."""
        if self._has_ended():
            return
        intended = self.due or monotonic_ns()
        chat, request = self._connection, self._measures.requests[request_names.TYPING]
        if Feature.TYPING not in self._dialect.features:
            request.failed(self._lacking(Feature.TYPING))
            return
        connection = chat.connection
        if (
            connection is not None
            and chat.is_ready
            and not connection.congested
            and connection.send_message(chat.conversation.typing(self._lifecycle.rooms[0]))
        ):
            request.done(monotonic_ns() - intended)
        elif not chat.is_offline:
            request.failed("dropped: connection congested" if chat.is_ready else "dropped: not in a room")

    def ping(self) -> None:
        """Send a ping, and time its pong as `WS ping`; does not wait. No pong before the next ping is a failure.

        A dialect without pings of its own has those of WebSocket (RFC 6455, section 5.5.2).
        """
        if self._has_ended():
            return
        intended = self.due or monotonic_ns()
        pings, chat = self._connection.handler.pings, self._connection
        if chat.send_ping(pings.begin()):
            pings.sent(intended)
        elif not chat.is_offline:
            label = "dropped: connection congested" if chat.connection is not None else "dropped: not connected"
            self._measures.requests[request_names.PING].failed(label)

    def upload(self, size: int, name: str = "load-test.bin") -> bool:
        """Upload random bytes and wait until the server has stored them; count one `WS upload`.

        If the server returns the size and sha256 of the stored file, they are compared. An upload that cannot begin
        within ten seconds is skipped and counts as a failure.

        Args:
            size: of the file, in bytes.
            name: of the file.

        Returns:
            Whether the upload succeeded.
        """
        intended = self.due or monotonic_ns()
        request = self._measures.requests[request_names.UPLOAD]
        if Feature.UPLOAD not in self._dialect.features:
            request.failed(self._lacking(Feature.UPLOAD))
            return False
        if self._has_ended():
            return False
        if self._connection.is_offline and not self.due:
            self._lifecycle.await_connection(UPLOAD_MAX_DELAY / SECOND)
            intended = monotonic_ns()  # the load test itself has delayed it
        if self._connection.is_offline:
            return False
        if not self._wait_until_ready(intended + UPLOAD_MAX_DELAY):
            if not (self._context.is_draining or self._connection.is_offline):
                request.failed(TOO_LATE)
            return False
        try:
            with self._in_progress():
                Upload(self._connection, self._context, size, name).run()
        except (UploadError, LostError) as error:
            self._failed(request_names.UPLOAD, "connection lost" if isinstance(error, LostError) else str(error))
            return False
        request.done(monotonic_ns() - intended)
        return True

    def _lacking(self, feature: Feature) -> str:
        return f"the dialect {self._dialect.name} has no {feature.value}"

    def _wait_until_ready(self, deadline: int) -> bool:
        chat, context = self._connection, self._context
        while not chat.is_ready and not chat.is_offline and not context.is_draining and monotonic_ns() < deadline:
            sleep(_POLL_SECONDS)
        return self.is_connected and not context.is_draining and monotonic_ns() <= deadline

    @contextmanager
    def _in_progress(self) -> Iterator[None]:
        """Mark a request as in progress. If the user is stopped meanwhile, the request counts as cut off."""
        self._context.in_progress += 1
        try:
            yield
        except GreenletExit:
            self._measures.cut_off += 1
            raise
        finally:
            self._context.in_progress -= 1

    # --- own messages ---

    def send(self, message: Message) -> bool:
        """Send a message as a text frame; return False when it could not be sent.

        Args:
            message: a mapping is sent as JSON, a text or bytes unchanged.
        """
        return not self._has_ended() and self._connection.send(self._dialect.encode(message))

    def request(
        self,
        message: Message,
        *,
        reply: str | Callable[[dict[str, Any]], bool],
        name: str | None = None,
        timeout: float = 10.0,
    ) -> dict[str, Any] | None:
        """Send a message and wait for the reply; count one request.

        Several requests may wait at the same time. A message from the server goes to the oldest one that it matches.
        An `error` about this message fails the request. While the client reconnects, the request waits; without a
        connection after `timeout` seconds it fails.

        Args:
            message: a mapping is sent as JSON, a text or bytes unchanged.
            reply: `type` of the reply, or a function that returns whether a decoded message is the reply.
            name: of the request in Locust's table; by default the `type` of the message.
            timeout: seconds to wait.

        Returns:
            The reply; None when there was none.

        Raises:
            Exception: `reply` raised it.
        """
        kind = str(message.get("type", "request")) if not isinstance(message, str | bytes) else "request"
        name = name or kind
        intended = self.due or monotonic_ns()
        request, replies = self._measures.request(name), self._connection.handler.replies
        if self._has_ended():
            return None
        if not self._is_open:
            was_offline = self._connection.is_offline
            self._lifecycle.await_connection(timeout)
            if was_offline and not self.due:
                intended = monotonic_ns()  # the load test itself has delayed it
        if not self._is_open:
            if not (self._context.is_draining or self._connection.is_offline):
                request.failed("not connected")
            return None
        errors: list[Exception] = []
        expected = replies.expect(reply_matcher(kind, reply, errors), may_be_notice=True)
        if not self.send(message):
            replies.cancel(expected)
            self._failed(name, "not sent: write buffer full")
            return None
        try:
            with self._in_progress():
                answer = replies.wait(expected, timeout)
        except LostError:
            self._failed(name, "connection lost")
            return None
        if errors:
            request.failed(type(errors[0]).__name__)
            raise errors[0]
        if answer is None:
            request.failed("no reply")
            return None
        if isinstance(answer, Refused) and answer.about == kind:
            request.failed(answer.label)
            return None
        request.done(monotonic_ns() - intended)
        return answer.message

    @property
    def _is_open(self) -> bool:
        connection = self._connection.connection
        return connection is not None and connection.is_open

    def _failed(self, name: str, label: str) -> None:
        """Count a failed request, or one that the load test itself has cut off by a drop."""
        if self._connection.is_offline or self._connection.was_dropped:
            self._measures.cut_off += 1
        else:
            self._measures.request(name).failed(label)

    def on(self, kind: str, callback: Callable[[dict[str, Any]], None]) -> None:
        """Call a function with each message of a type, such as `userJoined` or `chatMessage`.

        The function runs in the event loop, so it must not wait. Its exceptions count like those of a task.
        """

        def call(message: dict[str, Any]) -> None:
            due, self.due = self.due, 0  # of the action in progress, which the callback is no part of
            try:
                callback(message)
            finally:
                self.due = due

        self._connection.handler.add_callback(kind, call)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Time a block as a request with this name; an exception counts as a failure and is raised again."""
        request = self._measures.request(name)
        intended = self.due or monotonic_ns()
        try:
            yield
        except Exception as error:
            request.failed(type(error).__name__)
            raise
        request.done(monotonic_ns() - intended)

    # --- connection and room ---

    def connect(self) -> None:
        """Connect and join the rooms, with retries until that succeeds; does nothing while connected."""
        self._lifecycle.connect()

    def disconnect(self) -> None:
        """Close the connection and stay disconnected until `connect`. Messages are skipped meanwhile."""
        self._lifecycle.disconnect()

    def join(self, room: str) -> bool:
        """Join a room; count one `WS join`. Later reconnects join it, too.

        A server that allows one room per connection, as the bundled one, moves the user: it leaves its room first.

        Returns:
            Whether the server has confirmed the join.
        """
        return self._lifecycle.join(room)

    def leave(self, room: str | None = None) -> bool:
        """Leave a room, by default the first one, and stay connected; return whether the server has confirmed that."""
        return self._lifecycle.leave(room)
