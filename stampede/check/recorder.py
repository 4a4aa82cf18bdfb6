"""Records the messages of one user, and what the dialect makes of them.

A `RecordedDialect` stands between the client of a load test and its dialect. The client therefore does in a check
exactly what it does in a load test.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from stampede.check.result import Logged
from stampede.check.texts import refusal
from stampede.dialects.base import Conversation, Dialect
from stampede.dialects.events import Acknowledged, Answer, Closed, Delivery, Event, Joined, Left, Opened, Pong, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stampede.dialects.base import Message, UpgradeRequest
    from stampede.ledger.stamp import Fields

_FEATURES: Final = tuple(Dialect.__annotations__)

_MEANINGS: Final[dict[type[Event], str]] = {
    Opened: "connection accepted",
    Joined: "joined",
    Left: "left",
    Acknowledged: "acknowledgement",
    Delivery: "delivery",
    Pong: "pong",
    Answer: "answered at once",
}
_NOTICE: Final = "notice, ignored"
_INCOMPLETE: Final = "no complete message yet"


class Recorder:
    """The messages of one user.

    Args:
        user: number of the user.
        log: of all users; gets the messages.

    Attributes:
        events: what the received messages meant, beside deliveries.
        deliveries: received deliveries: the time of arrival (monotonic nanoseconds), the stamp and the message.
        stamps: of the user's own messages, as bytes.
        closed: how the server has ended the connection; empty while it has not.
    """

    def __init__(self, user: int, log: list[Logged]) -> None:
        self._user = user
        self._log = log
        self.events: list[Event] = []
        self.deliveries: list[tuple[int, Fields, bytes]] = []
        self.stamps: list[bytes] = []
        self.closed = ""

    def send(self, payloads: Iterable[bytes]) -> None:
        """Record messages that the user sends."""
        self._log += [Logged(self._user, sent=True, payload=payload) for payload in payloads]

    def receive(self, payload: bytes, meaning: str = "") -> None:
        """Record a message that the user has received."""
        self._log.append(Logged(self._user, sent=False, payload=payload, meaning=meaning))

    def deliver(self, payload: bytes, fields: Fields) -> None:
        """Record a delivery that the user has received."""
        self.deliveries.append((monotonic_ns(), fields, payload))
        self.receive(payload, _MEANINGS[Delivery])

    def handle(self, payload: bytes, events: Sequence[Event]) -> None:
        """Record a message that is no plain delivery, and its events."""
        self.receive(payload, ", ".join(filter(None, map(_meaning_of, events))))
        now = monotonic_ns()
        for event in events:
            if isinstance(event, Answer):
                self.send([event.payload])
            elif isinstance(event, Delivery):
                self.deliveries.append((now, event.fields, payload))
            elif isinstance(event, Closed):
                self.closed = event.reason
        self.events += events


def _meaning_of(event: Event) -> str:
    if isinstance(event, Refused):
        return refusal(event.label)
    if isinstance(event, Closed):
        return f"the server ends the conversation: {event.reason}"
    return _MEANINGS.get(type(event), "")


class RecordedDialect(Dialect):
    """A dialect whose messages are recorded.

    Args:
        dialect: the dialect.
        recorder: of the user that alone uses this object.
    """

    def __init__(self, dialect: Dialect, recorder: Recorder) -> None:
        self._dialect = dialect
        self._recorder = recorder
        for name in _FEATURES:
            setattr(self, name, getattr(dialect, name))
        self.notices = ()  # so that they are recorded, too

    def request(self, values: Mapping[str, str], rooms: Sequence[str]) -> UpgradeRequest:
        return self._dialect.request(values, rooms)

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        """Return a conversation whose messages are recorded."""
        return _RecordedConversation(self._dialect, self._dialect.converse(values, rooms), self._recorder)

    def encode(self, message: Message) -> bytes:
        return self._dialect.encode(message)

    def escape(self, text: str) -> bytes:
        return self._dialect.escape(text)

    def find_stamp(self, payload: bytes) -> Fields | None:
        """Return the fields of the stamp in a delivery, and record that; None for any other message."""
        fields = self._dialect.find_stamp(payload)
        if fields is not None:
            self._recorder.deliver(payload, fields)
        return fields

    def retry_after(self, close_code: int, close_reason: str) -> float | None:
        """Record the end of the connection; return the seconds that its close frame asks the client to wait."""
        self._recorder.closed = self._recorder.closed or f"{close_code} {close_reason}".rstrip()
        return self._dialect.retry_after(close_code, close_reason)


class _RecordedConversation(Conversation):
    """A conversation whose messages are recorded."""

    def __init__(self, dialect: Dialect, conversation: Conversation, recorder: Recorder) -> None:
        self._dialect = dialect
        self._conversation = conversation
        self._recorder = recorder

    def _record(self, messages: Sequence[bytes]) -> Sequence[bytes]:
        self._recorder.send(messages)
        return messages

    def open(self) -> Sequence[bytes]:
        return self._record(self._conversation.open())

    @property
    def awaited(self) -> str:
        return self._conversation.awaited

    @property
    def saved(self) -> Mapping[str, str]:
        return self._conversation.saved

    def add_room_values(self, room: str, values: Mapping[str, str]) -> None:
        self._conversation.add_room_values(room, values)

    def join(self, room: str) -> Sequence[bytes]:
        return self._record(self._conversation.join(room))

    def leave(self, room: str) -> Sequence[bytes]:
        return self._record(self._conversation.leave(room))

    def say(self, room: str, text: str) -> bytes:
        return self._conversation.say(room, text)

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return a chat message; record it and its stamp."""
        self._recorder.stamps.append(prefix)
        payload = self._conversation.say_stamped(room, prefix, text)
        self._recorder.send([payload])
        return payload

    def typing(self, room: str) -> bytes:
        return self._conversation.typing(room)

    def ping(self, number: int) -> bytes:
        return self._conversation.ping(number)

    def keepalive(self) -> Sequence[bytes]:
        return self._record(self._conversation.keepalive())

    def close(self) -> Sequence[bytes]:
        return self._record(self._conversation.close())

    def split(self, payload: bytes) -> Sequence[bytes]:
        """Return the complete messages that a frame ends; record a frame that ends none."""
        messages = self._conversation.split(payload)
        if not messages:
            self._recorder.receive(payload, _INCOMPLETE)
        return messages

    def receive(self, payload: bytes) -> Sequence[Event]:
        """Return what a message means, and record that.

        Raises:
            ValueError: no such server sends this message.
        """
        if payload.startswith(self._dialect.notices):
            self._recorder.receive(payload, _NOTICE)
            return ()
        try:
            events = self._conversation.receive(payload)
        except ValueError as error:
            self._recorder.receive(payload, str(error))
            raise
        self._recorder.handle(payload, events)
        return events
