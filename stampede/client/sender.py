"""Sends the chat messages of one user: at their due time if possible, otherwise as soon as possible.

A message is stamped when it is sent. Its intended and its sent time therefore differ when the connection is congested
or lost for a while.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol

from stampede.client.acknowledgements import Acknowledgements
from stampede.client.outbox import MAX_AGE, Outbox, QueuedMessage
from stampede.ledger import stamp

if TYPE_CHECKING:
    from stampede.client.context import ClientContext
    from stampede.client.message_handler import MessageHandler
    from stampede.dialects.base import Conversation
    from stampede.ledger.membership import Membership
    from stampede.websocket.connection import Connection

# Labels of skipped messages in Locust's table of failures.
TOO_LATE: Final = "skipped: too late"
_BUFFER_FULL: Final = "skipped: write buffer full"
_OUTBOX_FULL: Final = "skipped: queue full"
OFFLINE_TOO_LONG: Final = "skipped: not in a room"
_CONGESTED_TOO_LONG: Final = "skipped: queued too long"


class SendingClient(Protocol):
    """The state of a chat client that decides whether a message can be sent now."""

    @property
    def connection(self) -> Connection | None: ...
    @property
    def conversation(self) -> Conversation: ...
    @property
    def is_offline(self) -> bool: ...
    @property
    def is_ready(self) -> bool: ...
    @property
    def handler(self) -> MessageHandler: ...


class Sender:
    """Sends the chat messages of one client over its current connection.

    Attributes:
        acknowledgements: of the messages; None if the server does not acknowledge them.
    """

    __slots__ = ("_client", "_context", "_measures", "_outbox", "acknowledgements")

    def __init__(self, client: SendingClient, context: ClientContext) -> None:
        self._client = client
        self._context = context
        self._measures = context.measures
        self._outbox = Outbox()
        acknowledges = context.dialect.acknowledges_messages
        self.acknowledgements = Acknowledgements(context.measures) if acknowledges else None

    @property
    def has_queued(self) -> bool:
        """Whether messages are queued."""
        return bool(self._outbox)

    @property
    def unacknowledged(self) -> int:
        """Number of messages that the server has not acknowledged yet; 0 if it acknowledges none."""
        return 0 if self.acknowledgements is None else len(self.acknowledgements)

    def say(self, intended: int, body: bytes, room: str | None) -> None:
        """Send a message that was due at `intended`, queue it while it cannot be sent, or count it as skipped.

        Args:
            intended: due time, in monotonic nanoseconds.
            body: the text after its stamp, escaped by the dialect.
            room: name of the room; None for the client's first room.
        """
        client = self._client
        connection, membership = client.connection, client.handler.membership_in(room)
        now = monotonic_ns()
        if now - intended > MAX_AGE:
            self._measures.skip(TOO_LATE)
        elif client.is_offline:
            self._measures.skip(None)
        elif connection is None or membership is None or not membership.joined or connection.congested:
            self._queue(QueuedMessage(intended, now - intended, body, room), now, in_room=client.is_ready)
        elif self._send(connection, membership, intended, now, body):
            self._measures.sent_after(now - intended)
        else:
            self._measures.skip(_BUFFER_FULL)

    def _send(self, connection: Connection, membership: Membership, intended: int, now: int, body: bytes) -> bool:
        room, slot, context = membership.room, membership.slot, self._context
        prefix = stamp.make(intended, now, context.origin, room.number, slot, room.next_seq[slot])
        payload = self._client.conversation.say_stamped(room.name, prefix, body)
        acknowledgements = self.acknowledgements
        if acknowledgements is not None:
            acknowledgements.begin()
        if not connection.send_message(payload):
            return False
        room.send(membership)
        if acknowledgements is not None:
            acknowledgements.sent(intended)
        return True

    def _queue(self, message: QueuedMessage, now: int, *, in_room: bool) -> None:
        measures = self._measures
        measures.skip_held(_CONGESTED_TOO_LONG if in_room else OFFLINE_TOO_LONG, self._outbox.expire(now))
        if self._outbox.push(message):
            measures.waiting += 1
        else:
            measures.skip(_OUTBOX_FULL)

    def send_queued(self, connection: Connection) -> None:
        """Send the queued messages, oldest first, until the connection is congested; all joins must be confirmed."""
        measures = self._measures
        while self._outbox and not connection.congested:
            now = monotonic_ns()
            measures.skip_held(_CONGESTED_TOO_LONG, self._outbox.expire(now))
            message = self._outbox.pop()
            if message is None:
                return
            membership = self._client.handler.membership_in(message.room)
            if membership is None:
                measures.skip_held(OFFLINE_TOO_LONG, 1)
            elif self._send(connection, membership, message.intended, now, message.body):
                measures.sent_held(message.lag, now - message.intended)
            else:
                measures.skip_held(_BUFFER_FULL, 1)

    def discard_queued(self, reason: str | None = None) -> None:
        """Skip the queued messages; they count as failures of this reason, if there is one."""
        self._measures.skip_held(reason, self._outbox.clear())

    def give_up_acknowledgements(self) -> None:
        """Count each missing acknowledgement as a failure."""
        if self.acknowledgements is not None:
            self.acknowledgements.end("no acknowledgement")
