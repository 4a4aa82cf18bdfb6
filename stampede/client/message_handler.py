"""Handles the messages of one client: deliveries for the ledger, replies for waiting tasks, others for callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from stampede.client.pings import Pings
from stampede.client.replies import Replies
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.client.context import ClientContext
    from stampede.ledger.room import Membership
    from stampede.ledger.stamp import Fields
    from stampede.measure.storm import Storm
    from stampede.websocket.errors import LostError


class Chat(Protocol):
    """The chat connection of a handler."""

    def resume_writing(self) -> None:
        """Send what is queued."""

    def connection_lost(self, error: LostError) -> None:
        """Handle the end of the connection."""


class MessageHandler:
    """Handles the messages of one client; runs in the hub, so nothing in it may block.

    It is the receiver of the WebSocket connection. A delivery to a user of one room touches few objects: with thousands
    of users, each further object is a cache miss.

    Attributes:
        membership: the membership of the first room; None while the client is in none.
        memberships: the client's memberships by the number of their room, from the join request on.
        replies: the replies that tasks wait for.
        pings: times the pongs.
        on_delivery: called with the arrival time of each delivery, if set.
        storm: the last storm that dropped this user.
    """

    __slots__ = (
        "_callbacks",
        "_chat",
        "_context",
        "_dialect",
        "_find_stamp",
        "_measures",
        "_notices",
        "_origin",
        "membership",
        "memberships",
        "on_delivery",
        "pings",
        "replies",
        "storm",
    )

    def __init__(self, context: ClientContext, chat: Chat) -> None:
        self._context = context
        self._chat = chat
        self._dialect = context.dialect
        self._find_stamp = context.dialect.find_stamp
        self._notices = context.dialect.notices
        self._origin = context.origin
        self._measures = context.measures
        self._callbacks: dict[str, list[Callable[[dict[str, Any]], None]]] | None = None
        self.membership: Membership | None = None
        self.memberships: dict[int, Membership] = {}
        self.replies = Replies()
        self.pings = Pings(context.measures)
        self.on_delivery: Callable[[int], None] | None = None
        self.storm: Storm | None = None

    def resume_writing(self) -> None:
        """Send what is queued; called by the connection when it is no longer congested."""
        self._chat.resume_writing()

    def connection_lost(self, error: LostError) -> None:
        """Handle the end of a connection that the client did not end; called by the connection."""
        self._chat.connection_lost(error)

    def add_callback(self, kind: str, callback: Callable[[dict[str, Any]], None]) -> None:
        """Call a function with each message of a type."""
        if self._callbacks is None:
            self._callbacks = {}
        self._callbacks.setdefault(kind, []).append(callback)

    def message_received(self, payload: bytes, now: int) -> None:
        """Handle one message, received at `now` (monotonic nanoseconds)."""
        fields = self._find_stamp(payload)
        if fields is None:
            fields = self._handle_other(payload, now)
            if fields is None:
                return
        elif self._callbacks:
            self._call_back(self._dialect.decode(payload))
        # The rest is not a method of its own: a call would cost a tenth of this one.
        intended, sent, origin, room, slot, seq = fields
        membership = self.membership
        if membership is None or membership.room.number != room:
            membership = self.memberships.get(room)
        if membership is None or origin != self._origin:
            self._count_unowed(origin)
        elif membership.receive(slot, seq):
            self._measures.delivered(now - intended, now - sent)
            storm = self._context.storm
            if storm is not None and storm is not self.storm:
                storm.record_unaffected(now - intended)
            if self.on_delivery is not None:
                self.on_delivery(now)

    def _count_unowed(self, origin: int) -> None:
        """Count a delivery of another run, or to a room that the client is not in; it may come after the last leave."""
        if not self.memberships:
            return
        if origin != self._origin:
            self._measures.deliveries.foreign_clock += 1
        else:
            self._measures.deliveries.duplicated += 1

    def _handle_other(self, payload: bytes, now: int) -> Fields | None:
        """Handle a message in which no stamp was found; return the stamp if it is in the decoded message."""
        dialect = self._dialect
        if payload.startswith(self._notices) and not (self._callbacks or self.replies.want_notices):
            return None
        try:
            message = dialect.decode(payload)
        except ValueError as error:
            self._measures.requests[request_names.CONNECT].failed(str(error))
            return None
        if message is None:
            return None
        pong = dialect.pong(message)
        if pong is not None:
            self.pings.receive(pong, now)
        if self._callbacks:
            self._call_back(message)
        if not self.replies.offer(message) and dialect.is_error(message):
            self._measures.requests[dialect.request_of(message) or request_names.SEND].failed(dialect.label_of(message))
        return dialect.stamp_in(message)

    def _call_back(self, message: dict[str, Any] | None) -> None:
        if message is None or self._callbacks is None:
            return
        for callback in self._callbacks.get(message["type"], ()):
            try:
                callback(message)
            except Exception as error:  # noqa: BLE001 # a callback of a scenario must not stop the connection
                self._context.on_error(error)
