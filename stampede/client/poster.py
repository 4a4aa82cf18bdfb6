"""Sends the chat messages of a user whose server takes them over HTTP and delivers them over the WebSocket."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from gevent import sleep

from stampede.client.outbox import MAX_AGE
from stampede.client.sender import OFFLINE_TOO_LONG, TOO_LATE
from stampede.ledger import stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.client.chat_connection import ChatConnection
    from stampede.client.context import ClientContext
    from stampede.ledger.room import Membership

_POLL_SECONDS: Final = 0.02
_NOT_ACCEPTED: Final = "skipped: not accepted"


class Poster:
    """Sends the chat messages of one client by a function of the scenario.

    Args:
        connection: of the client.
        context: of the client.
        post: sends a text to a room and returns whether the server has accepted it; it may wait.
    """

    __slots__ = ("_connection", "_context", "_post")

    def __init__(self, connection: ChatConnection, context: ClientContext, post: Callable[[str, str], bool]) -> None:
        self._connection = connection
        self._context = context
        self._post = post

    def say(self, intended: int, text: str, room_name: str | None) -> None:
        """Send a message that was due at `intended`; wait while the user is not in the room, or count why not."""
        chat, measures = self._connection, self._context.measures
        while not chat.is_ready and not chat.is_offline and monotonic_ns() - intended <= MAX_AGE:
            sleep(_POLL_SECONDS)
        membership, now = chat.membership_in(room_name), monotonic_ns()
        if chat.is_offline:
            measures.skip(None)
        elif membership is None or not membership.joined:
            measures.skip(OFFLINE_TOO_LONG)
        elif now - intended > MAX_AGE:
            measures.skip(TOO_LATE)
        else:
            room, slot = membership.room, membership.slot
            prefix = stamp.make(intended, now, self._context.origin, room.number, slot, room.send(membership))
            self._context.in_progress += 1
            try:
                accepted = self._post(room.name, stamp.for_any_server(prefix).decode() + text)
            except Exception:
                self._give_up(membership, _NOT_ACCEPTED)
                raise
            except BaseException:  # Locust has stopped the user
                self._give_up(membership, None)
                raise
            finally:
                self._context.in_progress -= 1
            if accepted:
                measures.sent_after(now - intended)
            else:
                self._give_up(membership, _NOT_ACCEPTED)

    def _give_up(self, membership: Membership, why: str | None) -> None:
        """Count a message as skipped. The server may have taken it all the same: then the other members are owed it."""
        self._context.measures.skip(why)
        if self._connection.membership_in(membership.room.name) is membership:
            membership.renew_slot()
