"""Handles the messages of one client: deliveries for the ledger, replies for waiting tasks, others for callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stampede.client.pings import Pings
from stampede.client.replies import Replies
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.client.context import ClientContext
    from stampede.ledger.room import Membership
    from stampede.ledger.stamp import Fields
    from stampede.measure.storm import Storm


class MessageHandler:
    """Handles the messages of one client; runs in the hub, so nothing in it may block.

    Attributes:
        memberships: the client's memberships by the number of their room, from the join request on.
        replies: the replies that tasks wait for.
        pings: times the pongs.
        callbacks: functions to call with each message of a type.
        on_delivery: called with the arrival time of each delivery, if set.
        storm: the last storm that dropped this user.
    """

    __slots__ = (
        "_context",
        "_dialect",
        "_find_stamp",
        "_measures",
        "_notices",
        "callbacks",
        "memberships",
        "on_delivery",
        "pings",
        "replies",
        "storm",
    )

    def __init__(self, context: ClientContext) -> None:
        self._context = context
        self._dialect = context.dialect
        self._find_stamp = context.dialect.find_stamp
        self._notices = context.dialect.notices
        self._measures = context.measures
        self.memberships: dict[int, Membership] = {}
        self.replies = Replies()
        self.pings = Pings(context.measures)
        self.callbacks: dict[str, list[Callable[[dict[str, Any]], None]]] = {}
        self.on_delivery: Callable[[int], None] | None = None
        self.storm: Storm | None = None

    def message_received(self, payload: bytes, now: int) -> None:
        """Handle one message, received at `now` (monotonic nanoseconds)."""
        fields = self._find_stamp(payload)
        if fields is not None:
            self._deliver(fields, now)
            if self.callbacks:
                self._call_back(self._dialect.decode(payload))
        elif self.callbacks or self.replies.want_notices or not payload.startswith(self._notices):
            self._handle_decoded(payload, now)

    def _deliver(self, fields: Fields, now: int) -> None:
        """Count and time one delivery, given the fields of its stamp."""
        intended, sent, origin, room, slot, seq = fields
        context = self._context
        membership = self.memberships.get(room)
        if origin != context.origin:
            if self.memberships:
                self._measures.deliveries.foreign_clock += 1
        elif membership is None:
            if self.memberships:
                self._measures.deliveries.duplicated += 1
        elif membership.receive(slot, seq):
            self._measures.delivered(now - intended, now - sent)
            if context.storm is not None and context.storm is not self.storm:
                context.storm.record_unaffected(now - intended)
            if self.on_delivery is not None:
                self.on_delivery(now)

    def _handle_decoded(self, payload: bytes, now: int) -> None:
        dialect = self._dialect
        try:
            message = dialect.decode(payload)
        except ValueError as error:
            self._measures.requests[request_names.CONNECT].failed(str(error))
            return
        if message is None:
            return
        fields = dialect.stamp_in(message)
        if fields is not None:
            self._deliver(fields, now)
        pong = dialect.pong(message)
        if pong is not None:
            self.pings.receive(pong, now)
        if self.callbacks:
            self._call_back(message)
        if not self.replies.offer(message) and dialect.is_error(message):
            self._measures.requests[dialect.request_of(message) or request_names.SEND].failed(dialect.label_of(message))

    def _call_back(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        for callback in self.callbacks.get(message["type"], ()):
            try:
                callback(message)
            except Exception as error:  # noqa: BLE001 # a callback of a scenario must not stop the connection
                self._context.on_error(error)
