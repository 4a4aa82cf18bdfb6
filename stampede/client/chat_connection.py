"""A user's connection to the chat: opened, closed or dropped, and opened again.

It works with any server whose wire protocol a dialect describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from stampede.client.in_flight import await_deliveries
from stampede.client.message_handler import MessageHandler, SplittingHandler
from stampede.client.pings import UNTIMED
from stampede.client.replies import AnswerError, is_refusal
from stampede.client.rooms import Rooms
from stampede.client.sender import Sender
from stampede.dialects.base import Feature
from stampede.dialects.events import Opened, Refused
from stampede.measure import request_names
from stampede.websocket.connect import connect
from stampede.websocket.errors import LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.client.context import ClientContext
    from stampede.dialects.base import Conversation
    from stampede.websocket.connection import Connection
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.target import Target

_NORMAL_CLOSURE: Final = 1000
MAX_BATCH_BYTES: Final = 32 * 1024
"""Bytes that a batch may have, less than the receive buffer of a socket holds.

With 8 KB, the backlog of a server that had been overloaded for a second made all users watched. Reading them at once
then took the whole core of the load generator, so that it never recovered.
"""

_MAX_DOUBLINGS: Final = 10


class ConnectionOwner(Protocol):
    """The callbacks of a chat connection to its owner; called in the hub, so they must not block."""

    def connection_lost(self, error: LostError, in_flight: int) -> None:
        """Handle the end of a connection that this client did not end, and the messages in flight to it."""


class ChatConnection:
    """The connection of one user.

    Args:
        context: shared by all clients of this process.
        owner: receives the end of the connection.

    Attributes:
        connection: the open connection; None while there is none.
        conversation: the state of the protocol on it, or on the last one; the same as that of the handler, since a
            property would make each message cost more.
        handler: handles the messages of the server.
        rooms: joins and leaves the rooms.
        sender: sends the chat messages.
        retry_after: seconds to wait before a reconnect, if the server requested that when it closed the connection.
        was_dropped: whether `drop` ended the last connection; then the end is not a failure of the server.
        is_offline: whether the user is disconnected on purpose; then its skipped messages are not failures.
    """

    __slots__ = (
        "_context",
        "_dialect",
        "_early_answers",
        "_measures",
        "_overflows",
        "_owner",
        "_watched_calls",
        "connection",
        "conversation",
        "handler",
        "is_offline",
        "retry_after",
        "rooms",
        "sender",
        "was_dropped",
    )

    def __init__(self, context: ClientContext, owner: ConnectionOwner) -> None:
        self._context = context
        self._dialect = context.dialect
        self._measures = context.measures
        self._owner = owner
        self._watched_calls = 0  # calls of `read_batch` for which the connection stays watched
        self._overflows = 0  # batches of more than `MAX_BATCH_BYTES`
        self._early_answers: list[bytes] = []  # to messages that came with the handshake response
        self.handler = (SplittingHandler if context.dialect.splits_frames else MessageHandler)(context, self)
        self.rooms = Rooms(self, self.handler, context)
        self.sender = Sender(self, context)
        self.conversation = self.handler.conversation
        self.connection: Connection | None = None
        self.retry_after: float | None = None
        self.was_dropped = self.is_offline = False

    # --- opening ---

    def open(self, reactor: Reactor, target: Target, conversation: Conversation, timeout: float) -> None:
        """Open the connection, and wait until the server has accepted it if the dialect says so.

        Raises:
            ConnectError: the attempt failed.
            AnswerError: the server refused, or did not answer within `timeout` seconds.
            LostError: the connection ended meanwhile.
        """
        self.conversation = self.handler.conversation = conversation
        replies = self.handler.replies
        opened = replies.expect(lambda event: isinstance(event, Opened) or is_refusal(event, request_names.CONNECT))
        self._early_answers.clear()
        messages = conversation.open()  # before anything is received, which may already be what they wait for
        try:
            self.connection = connect(reactor, target, self.handler, timeout=timeout)
            self.retry_after, self.was_dropped = None, False
            for message in (*messages, *self._early_answers):
                self.send(message)
            answer = replies.wait(opened, timeout) if self._dialect.confirms_opening else None
        finally:
            replies.cancel(opened)
        if isinstance(answer, Refused):
            raise AnswerError(answer.label)
        if answer is None and self._dialect.confirms_opening:
            raise AnswerError(f"no answer: expected {conversation.awaited}")

    @property
    def is_ready(self) -> bool:
        """Whether the client is in all of its rooms."""
        return self.handler.membership is not None and not self.rooms.unconfirmed

    # --- closing ---

    def close(self, grace: float, timeout: float) -> int:
        """Close the connection with a close handshake.

        Args:
            grace: seconds to wait for deliveries of messages that are already sent; 0 for no wait.
            timeout: seconds to wait for the server's close frame.

        Returns:
            How many messages were in flight to this client and are no longer owed.
        """
        connection = self.connection
        if connection is None:
            return 0
        connection.watch()
        marks = await_deliveries(connection, self.handler.memberships, grace) if grace else {}
        for message in self.conversation.close():
            connection.send_message(message)
        closed_cleanly = connection.close(timeout)
        return self._end(waited_for=marks, closed_cleanly=closed_cleanly)

    def drop(self) -> int:
        """Reset the connection without a close frame.

        Returns:
            How many messages were in flight to this client and are no longer owed.
        """
        self.was_dropped = True
        if self.connection is not None:
            self.connection.reset()
        return self._end(closed_cleanly=False)

    def _end(
        self, *, waited_for: dict[int, list[int]] | None = None, closed_cleanly: bool, error: LostError | None = None
    ) -> int:
        self.handler.membership = self.connection = None
        churned = 0
        for number, membership in list(self.handler.memberships.items()):
            mark = (waited_for or {}).get(number)
            churned += self.rooms.end(membership, waited_for=mark, closed_cleanly=closed_cleanly)
        self.rooms.unconfirmed = 0
        self.handler.pings.end()
        if self.sender.acknowledgements is not None:
            self.sender.acknowledgements.end("connection lost" if error is not None else None)
        self.handler.replies.end(error)
        return churned

    def connection_lost(self, error: LostError) -> None:
        """Handle the end of a connection that the client did not end; called by the handler."""
        self._measures.requests[request_names.CONNECT].failed(error.label)
        self.retry_after = self._dialect.retry_after(error.code, error.reason)
        self.handler.pings.end("connection lost")
        in_flight = self._end(closed_cleanly=False, error=error)
        self._owner.connection_lost(error, in_flight)

    def closed_by_server(self, reason: str) -> None:
        """Handle the end of the conversation before a close frame; called by the handler."""
        if self.connection is not None:
            self.connection.abort()
            self.connection_lost(LostError(_NORMAL_CLOSURE, reason))

    # --- sending ---

    def send(self, payload: bytes) -> bool:
        """Send a message; return False when the write buffer is full or there is no connection."""
        if self.connection is None:
            return False
        self.connection.watch()  # an answer may follow
        return self.connection.send_message(payload)

    def answer(self, payload: bytes) -> None:
        """Answer a message of the server at once, or as soon as the connection is open; called by the handler."""
        if self.connection is None:
            self._early_answers.append(payload)
        self.send(payload)

    def send_ping(self, number: int) -> bool:
        """Send a ping of the dialect or, if it has none, of WebSocket; return False when it could not be sent."""
        if Feature.PING in self._dialect.features:
            return self.send(self.conversation.ping(number))
        if self.connection is None:
            return False
        self.connection.watch()
        return self.connection.send_ping(str(number).encode())

    def keep_alive(self) -> None:
        """Send what the dialect sends from time to time to keep a connection open."""
        if self.connection is not None:
            for message in self.conversation.keepalive():
                self.send(message)

    def acknowledged(self, number: int | None, now: int) -> None:
        """Handle the acknowledgement of a chat message; called by the handler."""
        if self.sender.acknowledgements is not None:
            self.sender.acknowledgements.receive(number, now)

    def send_binary(self, payload: bytes, timeout: float) -> bool:
        """Send a binary message and wait until the kernel has taken it; return False after `timeout` seconds."""
        if self.connection is None:
            return False
        self.connection.watch()
        self.connection.send_binary(payload)
        return self.connection.drain(timeout)

    def resume_writing(self) -> None:
        """Send the queued chat messages; called by the handler when the connection is no longer congested."""
        if self.connection is not None and self.is_ready:
            self.sender.send_queued(self.connection)

    @property
    def has_queued(self) -> bool:
        """Whether there are queued chat messages that can still be sent."""
        return self.sender.has_queued and self.is_ready

    def request_pong(self, on_pong: Callable[[int], None]) -> None:
        """Send a `ping` that is not timed; call `on_pong` when its pong arrives over this connection."""
        self.handler.pings.on_pong = on_pong
        self.send_ping(UNTIMED)

    # --- reading in batches ---

    def set_timed(self, timed: bool) -> None:
        """Time the deliveries from now on, or only count them."""
        connection = self.connection
        if timed and not self.handler.is_timed and connection is not None:
            # What has waited for the next batch is only counted: the wait is not a latency of the server.
            while connection.read_batch() > MAX_BATCH_BYTES:
                pass
            connection.watch()
        self.handler.is_timed = timed

    def watch(self) -> None:
        """Read as soon as bytes arrive."""
        if self.connection is not None:
            self.connection.watch()

    def read_batch(self) -> None:
        """Read what has arrived for an untimed user. From the first call on, its connection is not watched.

        It is watched again while the user waits for an answer, and for some calls after one that read very much: bytes
        that wait in the kernel would slow the server down.
        """
        connection = self.connection
        if connection is None or self._watched_calls:
            self._watched_calls = max(0, self._watched_calls - 1)
            return
        if connection.is_watched:
            if self._awaits_answer:
                return
            connection.unwatch()
        if connection.read_batch() > MAX_BATCH_BYTES:
            connection.watch()
            self._overflows += 1
            self._watched_calls = 2 ** min(self._overflows, _MAX_DOUBLINGS)

    @property
    def _awaits_answer(self) -> bool:
        handler = self.handler
        if not self.is_ready or handler.on_delivery is not None:
            return True
        return bool(handler.replies) or handler.pings.are_pending
