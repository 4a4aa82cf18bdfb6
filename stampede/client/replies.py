"""The replies for which the tasks of one client wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gevent.event import Event

from stampede.websocket.errors import LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.dialects.base import Dialect


class Reply:
    """A message that a task waits for; created by `Replies.expect`.

    Attributes:
        matches: returns whether a decoded message is the one.
        then: called with the message at its arrival, before the task that waits runs.
        may_be_notice: whether it may be a notice, which is otherwise not decoded.
        message: the message; None until it has arrived.
        ended: why the connection ended before; None while it has not.
    """

    __slots__ = ("arrived", "ended", "matches", "may_be_notice", "message", "then")

    def __init__(
        self,
        matches: Callable[[dict[str, Any]], bool],
        then: Callable[[dict[str, Any]], None] | None,
        *,
        may_be_notice: bool,
    ) -> None:
        self.matches = matches
        self.then = then
        self.may_be_notice = may_be_notice
        self.message: dict[str, Any] | None = None
        self.ended: LostError | None = None
        self.arrived: Event | None = None


class Replies:
    """The expected messages, in the order of the requests. A message goes to the first that it matches.

    Attributes:
        want_notices: whether one of them may be a notice.
    """

    __slots__ = ("_pending", "want_notices")

    def __init__(self) -> None:
        self._pending: list[Reply] = []
        self.want_notices = False

    def expect(
        self,
        matches: Callable[[dict[str, Any]], bool],
        then: Callable[[dict[str, Any]], None] | None = None,
        *,
        may_be_notice: bool = False,
    ) -> Reply:
        """Keep the first matching message that arrives from now on, for `wait`."""
        reply = Reply(matches, then, may_be_notice=may_be_notice)
        self._pending.append(reply)
        self.want_notices = self.want_notices or may_be_notice
        return reply

    def offer(self, message: dict[str, Any]) -> bool:
        """Give a message to the first reply that it matches; return whether there is one."""
        for reply in self._pending:
            if reply.matches(message):
                reply.message = message
                if reply.then is not None:
                    reply.then(message)
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

    def wait(self, reply: Reply, timeout: float) -> dict[str, Any] | None:
        """Return the expected message; None when it has not arrived after `timeout` seconds.

        Raises:
            LostError: the connection ended meanwhile.
        """
        try:
            if reply.message is None and reply.ended is None:
                reply.arrived = Event()
                reply.arrived.wait(timeout)
        finally:
            self.cancel(reply)
        if reply.message is None and reply.ended is not None:
            raise reply.ended
        return reply.message

    def cancel(self, reply: Reply) -> None:
        """Stop expecting a message."""
        if reply in self._pending:
            self._pending.remove(reply)
            self.want_notices = any(other.may_be_notice for other in self._pending)


def is_refusal(dialect: Dialect, message: dict[str, Any], request: str) -> bool:
    """Return whether a message is an error about a request, or one that does not say which request it is about."""
    return dialect.is_error(message) and dialect.request_of(message) in (request, None)
