"""Handles the messages of one client: deliveries for the ledger, replies for waiting tasks, others for callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from stampede.client.pings import Pings
from stampede.client.replies import Replies
from stampede.client.stamp_table import LONG_TEXT, LONG_TEXT_BYTES
from stampede.dialects.events import Acknowledged, Answer, Closed, Delivery, Pong, Refused
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.client.context import ClientContext
    from stampede.dialects.base import Conversation
    from stampede.dialects.events import Event
    from stampede.ledger.membership import Membership
    from stampede.ledger.stamp import Fields
    from stampede.measure.storm import Storm
    from stampede.websocket.errors import LostError


class Chat(Protocol):
    """The chat connection of a handler."""

    def resume_writing(self) -> None:
        """Send what is queued."""

    def connection_lost(self, error: LostError) -> None:
        """Handle the end of the connection."""

    def answer(self, payload: bytes) -> None:
        """Answer a message of the server at once."""

    def closed_by_server(self, reason: str) -> None:
        """Handle the end of the conversation: the server serves this connection no more."""

    def acknowledged(self, number: int | None, now: int) -> None:
        """Handle the acknowledgement of a chat message."""


class OnDelivery(Protocol):
    """A function that handles a delivery: its arrival time, its receiver, and the message's slot and number."""

    def __call__(self, now: int, membership: Membership, slot: int, seq: int, /) -> None: ...


class MessageHandler:
    """Handles the messages of one client; runs in the hub, so nothing in it may block.

    It is the receiver of the WebSocket connection. A delivery to a user of one room touches few objects: with thousands
    of users, each further object is a cache miss.

    Attributes:
        membership: the membership of the first room; None while the client is in none.
        memberships: the client's memberships by the number of their room, from the join request on.
        replies: the replies that tasks wait for.
        pings: times the pongs.
        on_delivery: called with each delivery that was owed and in time, if set.
        is_timed: whether the latency of deliveries is recorded.
        storm: the last storm that dropped this user.
        conversation: the state of the protocol on the current connection, or on the last one.
    """

    __slots__ = (
        "_callbacks",
        "_chat",
        "_context",
        "_find_stamp",
        "_measures",
        "_notices",
        "_origin",
        "conversation",
        "is_timed",
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
        self._find_stamp = context.dialect.find_stamp
        self._notices = context.dialect.notices
        self._origin = context.origin
        self._measures = context.measures
        self._callbacks: dict[str, list[Callable[[dict[str, Any]], None]]] | None = None
        self.conversation: Conversation = context.dialect
        self.membership: Membership | None = None
        self.memberships: dict[int, Membership] = {}
        self.replies = Replies()
        self.pings = Pings(context.measures)
        self.on_delivery: OnDelivery | None = None
        self.storm: Storm | None = None
        self.is_timed = True

    def resume_writing(self) -> None:
        """Send what is queued; called by the connection when it is no longer congested."""
        self._chat.resume_writing()

    def connection_lost(self, error: LostError) -> None:
        """Handle the end of a connection that the client did not end; called by the connection."""
        self._chat.connection_lost(error)

    def pong_received(self, payload: bytes, now: int) -> None:
        """Handle a pong frame, the answer to a WebSocket ping; called by the connection."""
        if payload.isdigit():
            self.pings.receive(int(payload), now)

    def membership_in(self, room: str | None) -> Membership | None:
        """Return the membership of a room, or of the first room; None while the client is not in it."""
        if room is None:
            return self.membership
        return next((one for one in self.memberships.values() if one.room.name == room), None)

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
            for event in self.conversation.receive(payload):
                self._call_back(event)
        # The rest is not a method of its own: a call would cost a tenth of this one.
        intended, sent, origin, room, slot, seq = fields
        membership = self.membership
        if membership is None or membership.room.number != room:
            membership = self.memberships.get(room)
        if membership is None or origin != self._origin:
            self._count_unowed(origin)
        elif membership.receive(slot, seq):
            if self.is_timed:
                self._measures.delivered(now - intended, now - sent)
                storm = self._context.storm
                if storm is not None and storm is not self.storm:
                    storm.record_unaffected(now - intended)
            if self.on_delivery is not None:
                self.on_delivery(now, membership, slot, seq)

    def frames_received(self, data: bytes) -> bytes:
        """Count the deliveries in the first frames of a batch, without their latency; return the rest.

        Splitting at the header of a long text frame is one call in C, where the splitter takes 0.8 us a frame. The
        table checks the length of each part, so that no header inside a payload is taken for one.
        """
        membership = self.membership
        if membership is None or self._callbacks or self.on_delivery is not None:
            return data
        first, *parts = LONG_TEXT.split(data)
        if first:
            return data
        frames, number, origin = self._context.frames, membership.room.number, self._origin
        known, received = frames.get, []
        for part in parts:
            fields = known(part) or frames.find(part)
            if fields is None or fields[3] != number or fields[2] != origin:
                break
            received.append(fields)
        membership.receive_batch(received)
        if len(received) == len(parts):
            return b""
        return data[sum(map(len, parts[: len(received)])) + LONG_TEXT_BYTES * len(received) :]

    def batch_received(self, payloads: list[bytes]) -> list[bytes]:
        """Count the deliveries among messages that were read together, without their latency; return the others."""
        membership = self.membership
        if membership is None or self._callbacks or self.on_delivery is not None:
            return payloads
        stamps, number, origin = self._context.stamps, membership.room.number, self._origin
        known, others, received = stamps.get, [], []
        for payload in payloads:
            fields = known(payload) or stamps.find(payload)
            if fields is not None and fields[3] == number and fields[2] == origin:
                received.append(fields)
            else:
                others.append(payload)
        membership.receive_batch(received)
        return others

    def _count_unowed(self, origin: int) -> None:
        """Count a delivery of another run, or to a room that the client is not in; it may come after the last leave."""
        if not self.memberships:
            return
        if origin != self._origin:
            self._measures.address_pairs.unowed.foreign_clock += 1
        else:
            self._measures.address_pairs.unowed.duplicated += 1

    def _handle_other(self, payload: bytes, now: int) -> Fields | None:
        """Handle a message in which no stamp was found; return the stamp if it is a delivery all the same."""
        if payload.startswith(self._notices) and not (self._callbacks or self.replies.want_notices):
            return None
        fields = None
        try:
            events = self.conversation.receive(payload)
        except ValueError as error:
            self._measures.requests[request_names.CONNECT].failed(str(error))
            return None
        for event in events:
            if isinstance(event, Delivery):
                fields = event.fields  # a message has one at most
            else:
                self._handle_event(event, now)
            self._call_back(event)
            if not self.replies.offer(event) and isinstance(event, Refused):
                self._count_refusal(event)
        return fields

    def _count_refusal(self, refused: Refused) -> None:
        measures, name = self._measures, refused.request or request_names.SEND
        (measures.requests.get(name) or measures.request(name)).failed(refused.label)

    def _handle_event(self, event: Event, now: int) -> None:
        if isinstance(event, Answer):
            self._chat.answer(event.payload)
        elif isinstance(event, Pong):
            self.pings.receive(event.number, now)
        elif isinstance(event, Acknowledged):
            self._chat.acknowledged(event.number, now)
        elif isinstance(event, Closed):
            self._chat.closed_by_server(event.reason)

    def _call_back(self, event: Event) -> None:
        if event.message is None or not self._callbacks:
            return
        for callback in self._callbacks.get(event.message.get("type", ""), ()):
            try:
                callback(event.message)
            except Exception as error:  # noqa: BLE001 # a callback of a scenario must not stop the connection
                self._context.on_error(error)


class SplittingHandler(MessageHandler):
    """Handles the messages of a dialect whose frames contain several messages, or a part of one."""

    __slots__ = ()

    def message_received(self, payload: bytes, now: int) -> None:
        """Handle the messages that a frame completes."""
        for message in self.conversation.split(payload):
            super().message_received(message, now)
