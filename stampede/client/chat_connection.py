"""A user's connection to the chat: opened, joined to a room, closed or dropped, and opened again.

It works with any server of the protocol. The only answer that it requires is `roomJoined`.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from gevent import sleep

from stampede.client import protocol
from stampede.client.message_handler import MessageHandler
from stampede.client.sender import Sender
from stampede.measure import request_names
from stampede.websocket.connect import connect
from stampede.websocket.errors import ClientError, LostError

if TYPE_CHECKING:
    from stampede.client.context import ClientContext
    from stampede.ledger.room import Membership, Room
    from stampede.websocket.connection import Connection
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.target import Target


class AnswerError(ClientError):
    """The server refused a request or did not answer it."""


class ConnectionOwner(Protocol):
    """The callbacks of a chat connection to its owner; called in the hub, so they must not block."""

    def connection_lost(self) -> None:
        """Handle the end of a connection that this client did not end."""


class ChatConnection:
    """The connection of one user, which is in one room, or will be.

    Args:
        context: shared by all clients of this process.
        owner: receives the end of the connection.

    Attributes:
        connection: the open connection; None while there is none.
        membership: membership of the room in the ledger, from the join request on; None before and after.
        handler: handles the messages of the server.
        sender: sends the chat messages.
        retry_after: seconds to wait before a reconnect, if the server requested that when it closed the connection.
        was_dropped: whether `drop` ended the last connection; then the end is not a failure of the server.
        is_offline: whether the user is disconnected on purpose; then its skipped messages are not failures.
        message_received: handles one message; called by the connection.
    """

    __slots__ = (
        "_measures",
        "_owner",
        "connection",
        "handler",
        "is_offline",
        "membership",
        "message_received",
        "retry_after",
        "sender",
        "was_dropped",
    )

    def __init__(self, context: ClientContext, owner: ConnectionOwner) -> None:
        self._measures = context.measures
        self._owner = owner
        self.handler = MessageHandler(context, self._joined)
        self.message_received = self.handler.message_received  # saves a call per delivery
        self.sender = Sender(self, context)
        self.connection: Connection | None = None
        self.membership: Membership | None = None
        self.retry_after: float | None = None
        self.was_dropped = self.is_offline = False

    # --- opening ---

    def open(self, reactor: Reactor, target: Target, timeout: float, token: str | None = None) -> None:
        """Open the connection, with a token if the server requires one.

        Raises:
            ConnectError: the attempt failed.
        """
        self.connection = connect(reactor, target, self, timeout=timeout, token=token)
        self.retry_after = None
        self.was_dropped = False

    def enter(self, user: str, room: Room, timeout: float) -> None:
        """Set the user name and join a room.

        Both messages are sent without waiting in between: a server handles the messages of one client in order.

        Raises:
            AnswerError: the server refused, or did not answer within `timeout` seconds.
            LostError: the connection ended meanwhile.
        """
        self.join(room, timeout, protocol.set_username(user))
        self.is_offline = False

    def join(self, room: Room, timeout: float, *before: bytes) -> None:
        """Join a room, after sending some messages.

        Raises:
            AnswerError: the server refused, or did not answer within `timeout` seconds.
            LostError: the connection ended meanwhile.
        """
        if self.connection is None:
            raise LostError(1006)
        membership = self.membership = self.handler.memberships[room.number] = room.enter()
        reply = self.handler.replies.expect(
            lambda message: (
                protocol.answers(message, "roomJoined", request_names.JOIN) and not protocol.is_name_fixed(message)
            )
        )
        for message in (*before, protocol.join_room(room.name)):
            self.send(message)
        answer = self.handler.replies.wait(reply, timeout)
        if answer is None:
            raise AnswerError("no roomJoined")
        if answer["type"] == "error":
            raise AnswerError(protocol.label_of(answer))
        if self.membership is not membership:  # dropped in the meantime
            raise LostError(1006)

    def _joined(self) -> None:
        if self.membership is not None:
            self.membership.confirm_join()
            self.resume_writing()

    @property
    def is_ready(self) -> bool:
        """Whether the client is in its room."""
        return self.membership is not None and self.membership.joined

    def membership_in(self, room: str | None) -> Membership | None:
        """Return the membership of a room, or of the first room; None while the client is not in it."""
        membership = self.membership
        return membership if room is None or membership is None or membership.room.name == room else None

    # --- closing ---

    def leave(self, timeout: float) -> bool:
        """Leave the room and stay connected; return whether the server has confirmed that within `timeout` seconds.

        Raises:
            LostError: the connection ended meanwhile.
        """
        membership = self.membership
        if membership is None:
            return True
        reply = self.handler.replies.expect(lambda message: protocol.answers(message, "roomLeft", request_names.JOIN))
        self.send(protocol.LEAVE_ROOM)
        self.membership = None
        answer = None
        try:
            answer = self.handler.replies.wait(reply, timeout)
        finally:
            self._end_membership(membership, closed_cleanly=answer is not None and answer["type"] == "roomLeft")
        return answer is not None

    def close(self, grace: float, timeout: float) -> int:
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
        return self._end(closed_cleanly=False)

    def _end(self, *, waited_for: list[int] | None = None, closed_cleanly: bool) -> int:
        membership, self.membership, self.connection = self.membership, None, None
        before = self._measures.deliveries.churned
        if membership is not None:
            self._end_membership(membership, waited_for=waited_for, closed_cleanly=closed_cleanly)
        self.handler.pings.end()
        self.handler.replies.end()
        return self._measures.deliveries.churned - before

    def _end_membership(
        self, membership: Membership, *, waited_for: list[int] | None = None, closed_cleanly: bool
    ) -> None:
        del self.handler.memberships[membership.room.number]
        membership.leave(waited_for=waited_for, closed_cleanly=closed_cleanly)

    def connection_lost(self, error: LostError) -> None:
        """Handle the end of a connection that the client did not end; called by the connection."""
        self._measures.requests[request_names.CONNECT].failed(error.label)
        self.retry_after = protocol.retry_after(error.reason)
        self.handler.pings.end("connection lost")
        self._end(closed_cleanly=False)
        self._owner.connection_lost()

    # --- sending ---

    def send(self, payload: bytes) -> bool:
        """Send a text message; return False when the write buffer is full or there is no connection."""
        return self.connection is not None and self.connection.send_text(payload)

    def send_binary(self, payload: bytes, timeout: float) -> bool:
        """Send a binary message and wait until the kernel has taken it; return False after `timeout` seconds."""
        if self.connection is None:
            return False
        self.connection.send_binary(payload)
        return self.connection.drain(timeout)

    def resume_writing(self) -> None:
        """Send the queued chat messages; called by the connection when it is no longer congested."""
        if self.connection is not None and self.is_ready:
            self.sender.send_queued(self.connection)

    @property
    def has_queued(self) -> bool:
        """Whether there are queued chat messages that can still be sent."""
        return self.sender.has_queued and self.is_ready

    def request_pong(self, on_pong: Any) -> None:
        """Send a `ping` that is not timed; call `on_pong` when its pong arrives over this connection."""
        self.handler.pings.on_pong = on_pong
        self.send(protocol.ping(protocol.SYNC_TIMESTAMP))
