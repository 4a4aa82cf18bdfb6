"""Sends the chat messages of a user whose server takes them over HTTP and delivers them over the WebSocket."""

from __future__ import annotations

from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

import gevent
from gevent import get_hub, getcurrent, sleep

from stampede.client.outbox import MAX_AGE
from stampede.client.sender import OFFLINE_TOO_LONG, TOO_LATE
from stampede.ledger import stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.client.chat_connection import ChatConnection
    from stampede.client.context import ClientContext
    from stampede.ledger.membership import Membership

_POLL_SECONDS: Final = 0.02
_NOT_ACCEPTED: Final = "skipped: not accepted"


class Poster:
    """Sends the chat messages of one client by a function of the scenario.

    Args:
        connection: of the client.
        context: of the client.
        post: sends a text to a room and returns whether the server has accepted it; it may wait.
    """

    __slots__ = ("_connection", "_context", "_post", "_queue", "_worker")

    def __init__(self, connection: ChatConnection, context: ClientContext, post: Callable[[str, str], bool]) -> None:
        self._connection = connection
        self._context = context
        self._post = post
        self._queue: deque[tuple[int, str, str | None]] = deque()
        self._worker: gevent.Greenlet[..., None] | None = None

    def say(self, intended: int, text: str, room_name: str | None) -> None:
        """Send a message that was due at `intended`; wait while the user is not in the room, or count why not.

        In the event loop, where nothing may wait, the message is queued instead. A greenlet sends the queued messages
        of a user one after the other, so that their order is kept.
        """
        if getcurrent() is not get_hub():
            self._say(intended, text, room_name)
            return
        self._context.measures.waiting += 1
        self._queue.append((intended, text, room_name))
        if self._worker is None:
            self._worker = gevent.spawn(self._send_queued)

    def _send_queued(self) -> None:
        try:
            while self._queue:
                self._context.measures.waiting -= 1
                try:
                    self._say(*self._queue.popleft())
                except Exception as error:  # noqa: BLE001 # code of the scenario
                    self._context.on_error(error)
        finally:
            self._worker = None

    def discard_queued(self, reason: str | None) -> None:
        """Skip the queued messages, and stop sending; they count as failures of this reason, if there is one."""
        count = len(self._queue)
        self._queue.clear()
        self._context.measures.skip_held(reason, count)
        if self._worker is not None:
            self._worker.kill(block=False)

    def _say(self, intended: int, text: str, room_name: str | None) -> None:
        chat, measures = self._connection, self._context.measures
        while not chat.is_ready and not chat.is_offline and monotonic_ns() - intended <= MAX_AGE:
            sleep(_POLL_SECONDS)
        membership, now = chat.handler.membership_in(room_name), monotonic_ns()
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
        if self._connection.handler.membership_in(membership.room.name) is membership:
            membership.renew_slot()
