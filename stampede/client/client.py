"""A client of the chat protocol: one user name, one room, one connection at a time.

The client works with any server of the protocol. It waits only for the answers that it needs: `roomJoined`, and `pong`
if a ping is timed.
"""

from __future__ import annotations

from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any, Final

import msgspec
from gevent import sleep
from gevent.event import Event

from stampede.client import protocol
from stampede.client.sender import Sender
from stampede.ledger import stamp
from stampede.measure import request_names
from stampede.websocket.connect import connect
from stampede.websocket.errors import ClientError, LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.client.context import ClientContext
    from stampede.ledger.room import Membership, Room
    from stampede.measure.storm import Storm
    from stampede.websocket.connection import Connection
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.target import Target

_decode: Final = msgspec.json.Decoder().decode


class AnswerError(ClientError):
    """The server refused a request or did not answer it."""


class ChatClient:
    """A client that is, or will be, in one room.

    Args:
        context: shared by all clients of this process.
        on_lost: called once, in the hub, when the connection ends and the client did not end it.

    Attributes:
        connection: the open connection; None while there is none.
        membership: membership of the room in the ledger, from the join request on; None before and after.
        on_delivery: called with the arrival time of each delivery, if set.
        on_pong: called once with the arrival time of the pong that `request_pong` requested.
        retry_after: seconds to wait before a reconnect, if the server requested that when it closed the connection.
        was_dropped: whether `drop` ended the last connection; then the end is not a failure of the server.
        is_offline: whether the user is disconnected on purpose; then its skipped messages are not failures.
        storm: the last storm that dropped this user.
    """

    __slots__ = (
        "_answer",
        "_answered",
        "_awaited",
        "_context",
        "_measures",
        "_on_lost",
        "_ping_due",
        "_pings",
        "_sender",
        "connection",
        "is_offline",
        "membership",
        "on_delivery",
        "on_pong",
        "retry_after",
        "storm",
        "was_dropped",
    )

    def __init__(self, context: ClientContext, on_lost: Callable[[], None]) -> None:
        self._context = context
        self._measures = context.measures
        self._on_lost = on_lost
        self._sender = Sender(self, context)
        self.connection: Connection | None = None
        self.membership: Membership | None = None
        self.on_delivery: Callable[[int], None] | None = None
        self.on_pong: Callable[[int], None] | None = None
        self.retry_after: float | None = None
        self.was_dropped = self.is_offline = False
        self.storm: Storm | None = None
        self._awaited: tuple[str, ...] = ()
        self._answer: dict[str, Any] | None = None
        self._answered: Event | None = None
        self._pings = 0
        self._ping_due = 0  # due time of the ping without an answer; 0 when there is none

    # --- connection ---

    def connect(self, reactor: Reactor, target: Target, timeout: float, token: str | None = None) -> None:
        """Open the connection, with a token if the server requires one.

        Raises:
            ConnectError: the attempt failed.
        """
        self.connection = connect(reactor, target, self, timeout=timeout, token=token)
        self.retry_after = None
        self.was_dropped = False

    def join(self, name: str, room_name: str, room: Room, timeout: float) -> None:
        """Set the user name and join a room.

        Both messages are sent without waiting in between: a server handles the messages of one client in order.

        Raises:
            AnswerError: the server refused, or did not answer within `timeout` seconds.
            LostError: the connection ended meanwhile.
        """
        self.membership = room.enter()
        self.expect(("roomJoined", "error"))
        self.send(protocol.set_username(name))
        self.send(protocol.join_room(room_name))
        answer = self.wait_for_answer(timeout)
        if answer is None:
            raise AnswerError("no roomJoined")
        if answer["type"] == "error":
            raise AnswerError(protocol.label_of(answer))
        self.is_offline = False

    @property
    def is_ready(self) -> bool:
        """Whether the client is in its room."""
        return self.membership is not None and self.membership.joined

    def leave(self, grace: float, timeout: float) -> int:
        """Close the connection with a close handshake.

        Args:
            grace: seconds to wait for deliveries of messages that are already sent; 0 for no wait.
            timeout: seconds to wait for the server's close frame.

        Returns:
            How many messages were in flight to this client and are no longer owed.
        """
        connection, membership = self.connection, self.membership
        if connection is None:
            return 0
        mark = None
        if grace and membership is not None and membership.joined:
            mark = membership.room.mark()
            deadline = monotonic() + grace
            while not membership.arrived(mark) and connection.is_open and monotonic() < deadline:
                sleep(0.01)
            if not connection.is_open:
                mark = None
        closed_cleanly = connection.close(timeout)
        return self._end(waited_for=mark, closed_cleanly=closed_cleanly)

    def drop(self) -> int:
        """Reset the connection without a close frame.

        Returns:
            How many messages were in flight to this client and are no longer owed.
        """
        self.was_dropped = True
        if self.connection is not None:
            self.connection.reset()
        in_flight = self._end(closed_cleanly=False)
        if self._answered is not None:
            self._answered.set()
        return in_flight

    def _end(self, *, waited_for: list[int] | None = None, closed_cleanly: bool) -> int:
        membership, self.membership, self.connection = self.membership, None, None
        self._ping_due = 0
        self.on_pong = None
        before = self._measures.deliveries.churned
        if membership is not None:
            membership.leave(waited_for=waited_for, closed_cleanly=closed_cleanly)
        return self._measures.deliveries.churned - before

    def connection_lost(self, error: LostError) -> None:
        """Handle the end of a connection that the client did not end; called by the connection."""
        self._measures.requests[request_names.CONNECT].failed(error.label)
        self.retry_after = protocol.retry_after(error.reason)
        if self._ping_due:
            self._measures.requests[request_names.PING].failed("connection lost")
        self._end(closed_cleanly=False)
        if self._answered is not None:
            self._answered.set()
        self._on_lost()

    # --- sending ---

    def send(self, payload: bytes) -> bool:
        """Send a text message; return False when the write buffer is full or there is no connection."""
        return self.connection is not None and self.connection.send_text(payload)

    def send_binary(self, payload: bytes, timeout: float) -> bool:
        """Send a binary message and wait until the kernel has accepted it; return False after `timeout` seconds."""
        if self.connection is None:
            return False
        self.connection.send_binary(payload)
        return self.connection.drain(timeout)

    def say(self, intended: int) -> None:
        """Send a stamped chat message that was due at `intended` (monotonic nanoseconds), or queue it."""
        self._sender.say(intended)

    def resume_writing(self) -> None:
        """Send the queued chat messages; called by the connection when it is no longer congested."""
        if self.connection is not None and self.membership is not None and self.membership.joined:
            self._sender.send_queued(self.connection, self.membership)

    def discard_queued(self, reason: str | None = None) -> None:
        """Discard the queued chat messages; they count as failures of this reason, if there is one."""
        self._sender.discard_queued(reason)

    @property
    def has_queued(self) -> bool:
        """Whether there are queued chat messages that can still be sent."""
        return self._sender.has_queued and self.is_ready

    def type(self, intended: int) -> None:
        """Send a `typing` notice that was due at `intended`. Notices are dropped, not queued: a late one is wrong."""
        request, connection = self._measures.requests[request_names.TYPING], self.connection
        if (
            connection is not None
            and self.is_ready
            and not connection.congested
            and connection.send_text(protocol.TYPING)
        ):
            request.done(monotonic_ns() - intended)
        elif not self.is_offline:
            request.failed("dropped: connection congested" if self.is_ready else "dropped: not in a room")

    def ping(self, intended: int) -> None:
        """Send a `ping` that was due at `intended`, from which its `pong` is timed.

        A pong that has not arrived by the next ping is a failure.
        """
        request = self._measures.requests[request_names.PING]
        if self._ping_due:
            request.failed("no pong")
        self._pings += 1
        self._ping_due = intended if self.send(protocol.ping(self._pings)) else 0
        if not self._ping_due and not self.is_offline:
            request.failed("dropped: connection congested" if self.connection is not None else "dropped: not connected")

    def request_pong(self, on_pong: Callable[[int], None]) -> None:
        """Send a `ping` that is not timed; call `on_pong` when its pong arrives over this connection."""
        self.on_pong = on_pong
        self.send(protocol.ping(protocol.SYNC_TIMESTAMP))

    # --- receiving ---

    def message_received(self, payload: bytes, now: int) -> None:
        """Handle one message; called by the connection in the hub."""
        fields = stamp.from_payload(payload)
        if fields is not None:
            self._deliver(fields, now)
        elif not payload.startswith(protocol.NOTICE_PREFIXES):
            self._handle_decoded(payload, now)

    def _deliver(self, fields: tuple[int, int, int, int, int, int], now: int) -> None:
        """Count and time one delivery, given the fields of its stamp."""
        intended, sent, origin, room, slot, seq = fields
        membership = self.membership
        if membership is None:
            return
        context = self._context
        if origin != context.origin:
            self._measures.deliveries.foreign_clock += 1
        elif room != membership.room.number:
            self._measures.deliveries.duplicated += 1
        elif membership.receive(slot, seq):
            self._measures.delivered(now - intended, now - sent)
            if context.storm is not None and context.storm is not self.storm:
                context.storm.record_unaffected(now - intended)
            if self.on_delivery is not None:
                self.on_delivery(now)

    def _handle_decoded(self, payload: bytes, now: int) -> None:
        try:
            message = _decode(payload)
            kind = message["type"]
        except (msgspec.DecodeError, TypeError, KeyError):
            self._measures.requests[request_names.CONNECT].failed("not a chat server: no JSON object with a type")
            return
        if kind == "chatMessage":
            text = message.get("text")
            found = stamp.from_text(text) if isinstance(text, str) else None
            if found is not None:
                self._deliver(found, now)
        elif kind == "pong":
            self._handle_pong(message, now)
        elif kind == "roomJoined" and self.membership is not None:
            self.membership.confirm_join()
            self.resume_writing()
        if protocol.is_name_fixed(message):
            return
        if kind in self._awaited:
            self._answer, self._awaited = message, ()
            if self._answered is not None:
                self._answered.set()
        elif kind == "error":
            self._measures.requests[protocol.request_of(message)].failed(protocol.label_of(message))

    def _handle_pong(self, message: dict[str, Any], now: int) -> None:
        if self._ping_due and message.get("timestamp") == self._pings:
            self._measures.requests[request_names.PING].done(now - self._ping_due)
            self._ping_due = 0
        elif self.on_pong is not None and message.get("timestamp") == protocol.SYNC_TIMESTAMP:
            on_pong, self.on_pong = self.on_pong, None
            on_pong(now)

    def expect(self, kinds: tuple[str, ...]) -> None:
        """Keep the first message of these types that arrives from now on, for `wait_for_answer`."""
        self._awaited = kinds
        self._answer = None

    def wait_for_answer(self, timeout: float) -> dict[str, Any] | None:
        """Return the expected message; None when it has not arrived after `timeout` seconds.

        Raises:
            LostError: the connection ended meanwhile.
        """
        if self._answer is None and self.connection is not None:
            self._answered = Event()
            try:
                self._answered.wait(timeout)
            finally:
                self._answered = None
        answer, self._answer, self._awaited = self._answer, None, ()
        if answer is None and self.connection is None:
            raise LostError(1006)
        return answer
