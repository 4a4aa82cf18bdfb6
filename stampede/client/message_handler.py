"""Handles the messages of one client: deliveries for the ledger, replies for waiting tasks, others for callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.client import protocol
from stampede.client.pings import Pings
from stampede.client.replies import Replies
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.client.context import ClientContext
    from stampede.ledger.room import Membership
    from stampede.measure.storm import Storm

_decode: Final = msgspec.json.Decoder().decode


class MessageHandler:
    """Handles the messages of one client; runs in the hub, so nothing in it may block.

    Attributes:
        memberships: the client's memberships by the number of their room, from the join request on.
        replies: the replies that tasks wait for.
        pings: times the pongs.
        callbacks: functions to call with each message of a type.
        on_delivery: called with the arrival time of each delivery, if set.
        on_joined: called when the server has confirmed a join.
        storm: the last storm that dropped this user.
    """

    __slots__ = (
        "_context",
        "_measures",
        "callbacks",
        "memberships",
        "on_delivery",
        "on_joined",
        "pings",
        "replies",
        "storm",
    )

    def __init__(self, context: ClientContext, on_joined: Callable[[], None]) -> None:
        self._context = context
        self._measures = context.measures
        self.memberships: dict[int, Membership] = {}
        self.replies = Replies()
        self.pings = Pings(context.measures)
        self.callbacks: dict[str, list[Callable[[dict[str, Any]], None]]] = {}
        self.on_delivery: Callable[[int], None] | None = None
        self.on_joined = on_joined
        self.storm: Storm | None = None

    def message_received(self, payload: bytes, now: int) -> None:
        """Handle one message, received at `now` (monotonic nanoseconds)."""
        fields = stamp.from_payload(payload)
        if fields is not None:
            self._deliver(fields, now)
            if self.callbacks:
                self._call_back(_decode(payload))
        elif self.callbacks or self.replies.want_notices or not payload.startswith(protocol.NOTICE_PREFIXES):
            self._handle_decoded(payload, now)

    def _deliver(self, fields: tuple[int, int, int, int, int, int], now: int) -> None:
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
            self.pings.receive(message, now)
        elif kind == "roomJoined":
            self.on_joined()
        self._call_back(message)
        if protocol.is_name_fixed(message):
            return
        if not self.replies.offer(message) and kind == "error":
            self._measures.requests[protocol.request_of(message)].failed(protocol.label_of(message))

    def _call_back(self, message: dict[str, Any]) -> None:
        for callback in self.callbacks.get(message["type"], ()):
            try:
                callback(message)
            except Exception as error:  # noqa: BLE001 # a callback of a scenario must not stop the connection
                self._context.on_error(error)
