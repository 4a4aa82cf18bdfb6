"""The replies for which the tasks of one client wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent.event

from stampede.dialects.events import Refused
from stampede.websocket.errors import ClientError, LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.dialects.events import Event


class AnswerError(ClientError):
    """The server refused a request or did not answer it."""


class Reply:
    """An event that a task waits for; created by `Replies.expect`.

    Attributes:
        matches: returns whether an event is the one.
        then: called with the event at its arrival, before the task that waits runs.
        may_be_notice: whether it may be a notice, which is otherwise not decoded.
        event: the event; None until it has arrived.
        ended: why the connection ended before; None while it has not.
    """

    __slots__ = ("arrived", "ended", "event", "matches", "may_be_notice", "then")

    def __init__(
        self,
        matches: Callable[[Event], bool],
        then: Callable[[Event], None] | None,
        *,
        may_be_notice: bool,
    ) -> None:
        self.matches = matches
        self.then = then
        self.may_be_notice = may_be_notice
        self.event: Event | None = None
        self.ended: LostError | None = None
        self.arrived: gevent.event.Event | None = None


class Replies:
    """The expected events, in the order of the requests. An event goes to the first that it matches.

    Attributes:
        want_notices: whether one of them may be a notice.
    """

    __slots__ = ("_pending", "want_notices")

    def __init__(self) -> None:
        self._pending: list[Reply] = []
        self.want_notices = False

    def __bool__(self) -> bool:
        """Return whether a task waits for a reply."""
        return bool(self._pending)

    def expect(
        self,
        matches: Callable[[Event], bool],
        then: Callable[[Event], None] | None = None,
        *,
        may_be_notice: bool = False,
    ) -> Reply:
        """Keep the first matching event that arrives from now on, for `wait`."""
        reply = Reply(matches, then, may_be_notice=may_be_notice)
        self._pending.append(reply)
        self.want_notices = self.want_notices or may_be_notice
        return reply

    def offer(self, event: Event) -> bool:
        """Give an event to the first reply that it matches; return whether there is one."""
        for reply in self._pending:
            if reply.matches(event):
                reply.event = event
                if reply.then is not None:
                    reply.then(event)
                self._settle(reply)
                return True
        return False

    def end(self, error: LostError | None = None) -> None:
        """Wake all waiting tasks: the connection has ended, with an error if the client did not end it."""
        for reply in self._pending[:]:
            reply.ended = error or LostError(1006)
            self._settle(reply)

    def _settle(self, reply: Reply) -> None:
        self.cancel(reply)
        if reply.arrived is not None:
            reply.arrived.set()

    def wait(self, reply: Reply, timeout: float) -> Event | None:
        """Return the expected event; None when it has not arrived after `timeout` seconds.

        Raises:
            LostError: the connection ended meanwhile.
        """
        try:
            if reply.event is None and reply.ended is None:
                reply.arrived = gevent.event.Event()
                reply.arrived.wait(timeout)
        finally:
            self.cancel(reply)
        if reply.event is None and reply.ended is not None:
            raise reply.ended
        return reply.event

    def cancel(self, reply: Reply) -> None:
        """Stop expecting an event."""
        if reply in self._pending:
            self._pending.remove(reply)
            self.want_notices = any(other.may_be_notice for other in self._pending)


def is_refusal(event: Event, request: str, room: str | None = None) -> bool:
    """Return whether the server refuses a request, of a room if one is given; it may not say what it refuses."""
    return isinstance(event, Refused) and event.request in (request, None) and event.room in (room, None)


def reply_matcher(
    kind: str, reply: str | Callable[[dict[str, Any]], bool], errors: list[Exception]
) -> Callable[[Event], bool]:
    """Return a function that tells whether an event is the reply, or an error of a message of this kind.

    An exception of `reply` is added to `errors`, and the event then counts as the reply.
    """

    def matches(event: Event) -> bool:
        if isinstance(event, Refused) and event.about == kind:
            return True
        if event.message is None:
            return False
        if isinstance(reply, str):
            return bool(event.message.get("type") == reply)
        try:
            return bool(reply(event.message))
        except Exception as error:  # noqa: BLE001 # code of the scenario, which runs in the event loop
            errors.append(error)
            return True

    return matches
