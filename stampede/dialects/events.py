"""What a received message means to the load generator, whatever protocol it came in; pure.

Event             any message that a scenario may wait for; the others are subclasses
+-- Opened        the server has accepted the connection
+-- Joined        the server has confirmed a join
+-- Left          the server has confirmed that a room was left
+-- Acknowledged  the server has accepted a chat message
+-- Delivery      a chat message with a stamp, which `Dialect.find_stamp` does not find
+-- Pong          the answer to a ping of the application
+-- Refused       the server reports an error
+-- Closed        the server ends the conversation, before or in place of a close frame
+-- Answer        bytes that the client must send at once, such as the answer to a server's ping
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stampede.ledger.stamp import Fields

MAX_LABEL: Final = 100
"""Characters of a label that are kept: it may contain any text of the server."""

MAX_UNACKNOWLEDGED: Final = 1024
"""Chat messages without acknowledgement that are remembered on each connection."""


@dataclass(frozen=True, slots=True)
class Event:
    """A received message.

    Attributes:
        message: the decoded message, with its kind as `type`; None if no scenario can wait for it.
    """

    message: dict[str, Any] | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Opened(Event):
    """The server has accepted the connection, so that the client may join rooms."""


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """The server has confirmed a join.

    Attributes:
        room: name of the room; None for the only room of the connection.
    """

    room: str | None = None


@dataclass(frozen=True, slots=True)
class Left(Event):
    """The server has confirmed that a room was left.

    Attributes:
        room: name of the room; None for the only room of the connection.
    """

    room: str | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged(Event):
    """The server has accepted a chat message.

    Attributes:
        number: of the message, counted from 1 on each connection; None for the oldest one without acknowledgement.
    """

    number: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery(Event):
    """A chat message with a stamp.

    Attributes:
        fields: the fields of the stamp.
    """

    fields: Fields


@dataclass(frozen=True, slots=True)
class Pong(Event):
    """The answer to a ping of the application.

    Attributes:
        number: of the ping.
    """

    number: int


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """The server reports an error.

    Attributes:
        label: the few words under which the error is counted; cut to `MAX_LABEL` characters.
        request: name of the request that the error is about, as in Locust's table: `connect`, `join`, `send`, `typing`,
            `ping` or `upload`; None if the server does not say.
        about: kind of the message that the error is about; None if the server does not say.
        room: name of the room that the error is about; None if the server does not say.
    """

    label: str
    request: str | None = None
    about: str | None = None
    room: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label[:MAX_LABEL])


@dataclass(frozen=True, slots=True)
class Closed(Event):
    """The server ends the conversation, before or in place of a close frame.

    Attributes:
        reason: of the server, as a few fixed words; cut to `MAX_LABEL` characters.
    """

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", self.reason[:MAX_LABEL])


@dataclass(frozen=True, slots=True)
class Answer(Event):
    """Bytes that the client must send at once, such as the answer to a server's ping.

    Attributes:
        payload: a whole message.
    """

    payload: bytes


def chat_message(fields: Fields | None, message: dict[str, Any]) -> Event:
    """Return what a chat message means: a delivery if it has a stamp, otherwise a message like any other.

    Args:
        fields: the fields of its stamp; None without one.
        message: the decoded message.
    """
    return Event(message=message) if fields is None else Delivery(fields, message=message)
