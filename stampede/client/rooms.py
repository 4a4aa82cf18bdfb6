"""The rooms of a user: joined over its connection, counted as joined, and left."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

import gevent

from stampede.client.replies import AnswerError, is_refusal
from stampede.dialects.events import Joined, Left, Refused
from stampede.measure import request_names
from stampede.websocket.errors import ClientError, LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.client.context import ClientContext
    from stampede.client.message_handler import MessageHandler
    from stampede.dialects.base import Conversation
    from stampede.dialects.events import Event
    from stampede.ledger.membership import Membership
    from stampede.ledger.room import Room
    from stampede.websocket.connection import Connection

    Prepare: TypeAlias = Callable[[str, Conversation], bool]


def _do_nothing(_room: str, _conversation: Conversation) -> bool:
    """Prepare nothing: the dialect's messages suffice to join a room."""
    return False


class Chat(Protocol):
    """The chat connection of the rooms."""

    is_offline: bool

    @property
    def connection(self) -> Connection | None: ...
    @property
    def conversation(self) -> Conversation: ...
    @property
    def is_ready(self) -> bool: ...

    def send(self, payload: bytes) -> bool:
        """Send a message; return False when that is impossible."""

    def resume_writing(self) -> None:
        """Send what is queued."""


class Rooms:
    """The rooms of one client.

    Attributes:
        unconfirmed: joins that the server has not confirmed yet, and that do not count as successful without that.
    """

    __slots__ = ("_chat", "_context", "_counts_as_ready", "_handler", "unconfirmed")

    def __init__(self, chat: Chat, handler: MessageHandler, context: ClientContext) -> None:
        self._chat = chat
        self._handler = handler
        self._context = context
        self._counts_as_ready = False
        self.unconfirmed = 0

    def enter(self, rooms: list[Room], timeout: float, prepare: Prepare = _do_nothing) -> bool:
        """Join rooms of a new connection; return whether the server has confirmed all joins.

        If the server does not confirm joins, a user counts as joined at the first delivery of the room that arrives
        over the new connection, or after `join_grace` seconds.

        Raises:
            AnswerError: the server refused, or did not answer within `timeout` seconds.
            LostError: the connection ended meanwhile.
        """
        self.unconfirmed = len(rooms)  # no room alone makes the client ready
        answers = [self._join(room, self._address, timeout, prepare, is_new=True) for room in rooms]
        self._chat.is_offline = self._chat.is_offline and not all(answers)
        return all(answers)

    def join(self, room: Room, timeout: float, prepare: Prepare = _do_nothing) -> bool:
        """Join a room; return whether the server has confirmed that.

        Args:
            room: the ledger of the room.
            timeout: seconds to wait for the server's confirmation.
            prepare: called with the name of the room and the conversation before the dialect's messages are sent;
                returns whether the server has confirmed the join already. It may wait and raise a `ClientError`. The
                server may begin to deliver messages of the room meanwhile.

        Raises:
            AnswerError: the server refused, or did not answer within `timeout` seconds.
            LostError: the connection ended meanwhile.
        """
        address = self._address
        self.unconfirmed += 1
        try:
            return self._join(room, address, timeout, prepare, is_new=False)
        except LostError:
            raise
        except ClientError:
            membership = self._handler.memberships.get(room.number)
            if membership is not None:
                self._leave_ledger(membership, closed_cleanly=True)
            raise

    @property
    def _address(self) -> str:
        """Label of the address of the connection.

        Raises:
            LostError: the connection has ended.
        """
        connection = self._chat.connection
        if connection is None:
            raise LostError(1006)
        return connection.address

    def _join(self, room: Room, address: str, timeout: float, prepare: Prepare, *, is_new: bool) -> bool:
        membership = room.enter(address)
        confirms = self._context.dialect.acknowledges_joins
        if is_new and not confirms:  # otherwise, deliveries of an earlier membership may arrive
            membership.on_early_delivery = partial(self._assume_joined, membership)
        self._handler.memberships[room.number] = membership
        if self._handler.membership is None:
            self._handler.membership = membership
        self._update_ready()

        def is_answer(event: Event) -> bool:
            if isinstance(event, Joined):
                return event.room in (room.name, None)
            return is_refusal(event, request_names.JOIN, room.name)

        def on_answer(event: Event) -> None:
            if isinstance(event, Joined):
                self._confirm(membership)

        reply = self._handler.replies.expect(is_answer, on_answer)
        try:
            confirmed = prepare(room.name, self._chat.conversation)
            for message in self._chat.conversation.join(room.name):
                self._chat.send(message)
            if confirmed:
                self._confirm(membership)
                return True
            if not confirms:
                gevent.spawn_later(self._context.join_grace, self._assume_joined, membership)
                return False
            answer = self._handler.replies.wait(reply, timeout)
        finally:
            self._handler.replies.cancel(reply)
        if answer is None:
            raise AnswerError("join not confirmed")
        if isinstance(answer, Refused):
            raise AnswerError(answer.label)
        if self._handler.memberships.get(room.number) is not membership:  # dropped in the meantime
            raise LostError(1006)
        return True

    def _confirm(self, membership: Membership) -> None:
        """Record a confirmed join, at the moment at which the confirmation arrives."""
        if self._handler.memberships.get(membership.room.number) is membership and not membership.joined:
            self.unconfirmed -= 1
            membership.confirm_join()
            self._context.occupancy.joined(membership.room)
            self._update_ready()
            self._chat.resume_writing()

    def _assume_joined(self, membership: Membership) -> None:
        """Count a join as successful that the server does not confirm."""
        if self._handler.memberships.get(membership.room.number) is membership and not membership.joined:
            self._context.measures.unconfirmed_joins += 1
            self._chat.is_offline = False
            self._confirm(membership)

    def leave(self, room: str, timeout: float) -> bool:
        """Leave a room and stay connected; return whether the server has confirmed that within `timeout` seconds.

        Raises:
            LostError: the connection ended meanwhile.
        """
        membership = self._handler.membership_in(room)
        if membership is None:
            return True

        def is_answer(event: Event) -> bool:
            if isinstance(event, Left):
                return event.room in (room, None)
            return is_refusal(event, request_names.JOIN, room)

        reply = self._handler.replies.expect(is_answer)
        for message in self._chat.conversation.leave(room):
            self._chat.send(message)
        confirmed = False
        try:
            answer = self._handler.replies.wait(reply, timeout) if self._context.dialect.acknowledges_leaves else None
            confirmed = isinstance(answer, Left)
        finally:
            self._handler.replies.cancel(reply)
            if self._handler.memberships.get(membership.room.number) is membership:
                self._leave_ledger(membership, closed_cleanly=confirmed)
        return confirmed

    def _leave_ledger(self, membership: Membership, *, closed_cleanly: bool) -> None:
        """End one membership of a connection that stays open."""
        self.end(membership, closed_cleanly=closed_cleanly)
        self._handler.membership = next(iter(self._handler.memberships.values()), None)
        self._update_ready()

    def end(self, membership: Membership, *, waited_for: list[int] | None = None, closed_cleanly: bool) -> int:
        """End a membership; the arguments and the result are those of `Membership.leave`."""
        del self._handler.memberships[membership.room.number]
        was_joined = membership.joined
        self.unconfirmed -= not was_joined
        churned = membership.leave(waited_for=waited_for, closed_cleanly=closed_cleanly)
        if was_joined:
            self._context.occupancy.left(membership.room)
        self._update_ready()
        return churned

    def _update_ready(self) -> None:
        is_ready = self._chat.is_ready
        self._context.occupancy.ready += is_ready - self._counts_as_ready
        self._counts_as_ready = is_ready
