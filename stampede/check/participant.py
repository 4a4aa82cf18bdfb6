"""One of the two users of an exchange. It uses the chat connection of a load test, apart from any ledger of users."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from stampede.check.findings import Receipt
from stampede.check.probe import PROBE, change_of, stamps_of
from stampede.check.recorder import RecordedDialect, Recorder
from stampede.client.chat_connection import ChatConnection
from stampede.client.context import ClientContext
from stampede.client.credentials import for_dialect, of_account, with_request
from stampede.client.poster import Poster
from stampede.client.user_steps import NoSteps
from stampede.dialects.events import Acknowledged, Refused
from stampede.ledger import stamp
from stampede.measure.measures import Measures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.check.result import Logged
    from stampede.client.user_steps import UserSteps
    from stampede.dialects.base import Conversation, Dialect
    from stampede.ledger.room import Room
    from stampede.websocket.errors import LostError
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.target import Target

_CLOSE_SECONDS: Final = 2.0
_COPIES: Final = frozenset({"", "notice, ignored"})
"""Meanings of a private copy: the dialect has no use for it."""


NO_STEPS: Final = (NoSteps(), NoSteps())
"""The steps of two users without any."""


class Participant:
    """One user of an exchange.

    Args:
        number: of the user, 1 or 2.
        dialect: of the server.
        account: the user's account, with its name as `user`.
        context: the room, whose ledger both users share, and the origin of their stamps.
        join_grace: seconds after which a user counts as joined, if the server does not confirm joins.
        steps: what else the user does.
        log: of both users; gets the messages.

    Attributes:
        number: of the user.
        recorder: what the user has received.
        values: for the placeholders of the dialect; complete after the login.
        target: the server, with what the user adds to its upgrade request.
        ignored: how many binary messages the last connection has ignored.
    """

    def __init__(
        self,
        *,
        number: int,
        dialect: Dialect,
        account: Mapping[str, str],
        context: tuple[Room, int],
        join_grace: float,
        steps: UserSteps,
        log: list[Logged],
    ) -> None:
        self.number = number
        self.recorder = Recorder(number, log)
        self.values: Mapping[str, str] = account
        self.target: Target | None = None
        self._room, self._origin = context
        self._steps = steps
        self._dialect = RecordedDialect(dialect, self.recorder)
        self._context = ClientContext(
            Measures(), self._dialect, self._origin, PROBE, _ignore_error, join_grace=join_grace
        )
        self._chat = ChatConnection(self._context, self)
        self._conversation: Conversation = self._dialect
        self._slot = -1
        self._seen_events = 0  # of earlier steps

    def connection_lost(self, error: LostError, in_flight: int) -> None:
        """Do nothing: the recorder keeps how the server has ended the connection."""

    # --- the steps; each raises a `ClientError` with the reason ---

    def begin_step(self) -> None:
        """Ignore the errors and acknowledgements of earlier steps from now on."""
        self._seen_events = len(self.recorder.events)

    def log_in(self, target: Target) -> None:
        """Log in, and prepare the upgrade request."""
        credentials = self._steps.credentials([self._room.name]) or of_account(self.values, self._dialect)
        self.values = {**self.values, **credentials.values}
        rooms = [self._room.name]
        requested = with_request(for_dialect(target, self._dialect), self._dialect.request(self.values, rooms))
        self.target = credentials.apply(requested)
        self._conversation = self._dialect.converse(self.values, rooms)

    def open(self, reactor: Reactor, timeout: float) -> None:
        """Connect, and wait until the server has accepted the connection if the dialect says so."""
        assert self.target is not None  # noqa: S101 # `log_in` has set it
        self._chat.open(reactor, self.target, self._conversation, timeout)

    @property
    def address(self) -> str | None:
        """Label of the address of the server that the user is connected to."""
        return None if self._chat.connection is None else self._chat.connection.address

    @property
    def awaited(self) -> str:
        """What the user waits for while it opens the connection."""
        return self._conversation.awaited

    def join(self, timeout: float) -> bool:
        """Join the room; return whether the server has confirmed that."""
        confirmed = self._chat.rooms.enter([self._room], timeout, self._steps.prepare_join)
        membership = self._chat.handler.membership
        self._slot = -1 if membership is None else membership.slot
        return confirmed

    @property
    def has_joined(self) -> bool:
        """Whether the user counts as joined."""
        return self._chat.is_ready

    def say(self) -> None:
        """Send a chat message with a stamp and the probe."""
        now = monotonic_ns()
        if self._steps.post is not None:
            Poster(self._chat, self._context, self._post).say(now, PROBE, None)
        else:
            self._chat.sender.say(now, self._context.escaped_padding, None)

    def _post(self, room: str, text: str) -> bool:
        self.recorder.stamps.append(text[: stamp.SIZE].encode())
        return self._steps.post is not None and self._steps.post(room, text)

    def leave(self, timeout: float) -> bool:
        """Leave the room; return whether the server has confirmed that."""
        return self._chat.rooms.leave(self._room.name, timeout)

    def close(self) -> None:
        """Close the connection."""
        self._chat.close(0, _CLOSE_SECONDS)

    # --- what has arrived ---

    @property
    def ignored(self) -> int:
        """How many binary messages the connection has ignored, as the dialect says."""
        return self._chat.connection.ignored if self._chat.connection is not None else 0

    @property
    def refusal(self) -> str:
        """Label of the first error that the server has reported in this step; empty if it has not."""
        events = self.recorder.events[self._seen_events :]
        return next((event.label for event in events if isinstance(event, Refused)), "")

    @property
    def is_acknowledged(self) -> bool:
        """Whether the server has acknowledged a chat message in this step."""
        return any(isinstance(event, Acknowledged) for event in self.recorder.events[self._seen_events :])

    def deliveries_of(self, sender: Participant) -> list[tuple[int, stamp.Fields, bytes]]:
        """Return the received deliveries of a user's messages."""
        expected = (self._origin, self._room.number, sender._slot)  # of the same class
        return [one for one in self.recorder.deliveries if one[1][2:5] == expected]

    def receipt_of(self, sender: Participant, log: list[Logged], *, acknowledged: bool) -> Receipt:
        """Return what became of the message of the other user; this one has received it."""
        arrived = self.deliveries_of(sender)
        at, fields, payload = arrived[0]
        prefix = sender.recorder.stamps[-1]
        copies = [
            one
            for one in log
            if one.user == sender.number
            and not one.sent
            and one.meaning in _COPIES
            and any(text in one.payload for text in stamps_of(prefix))
        ]
        return Receipt(
            latency=(at - fields[1]) / 1e9,
            deliveries=len(arrived),
            own=len(sender.deliveries_of(sender)),
            private_copies=len(copies),
            acknowledged=acknowledged,
            change=change_of(payload, prefix, found=True),
        )


def _ignore_error(error: Exception) -> None:
    """Ignore exceptions of callbacks: an exchange has none."""
