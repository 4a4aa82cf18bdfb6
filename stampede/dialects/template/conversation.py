"""The state of one connection of a protocol that a file describes; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.dialects.base import Conversation
from stampede.dialects.events import Answer, Delivery, Event, Joined, Left, Opened, Refused
from stampede.dialects.placeholders import NUMBER_OF_MESSAGE, ROOM, UUID
from stampede.dialects.template.acknowledging import Correlation
from stampede.dialects.template.matching import Received
from stampede.dialects.template.steps import Exchange
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stampede.dialects.placeholders import TextTemplate
    from stampede.dialects.template.delivery import DeliveryRule
    from stampede.dialects.template.steps import Progress, Step
    from stampede.dialects.template.template import Template


class TemplateConversation(Conversation):
    """A conversation.

    Args:
        template: the content of the file.
        rule: tells which messages are deliveries.
        values: of the placeholders.
        new_uuid: returns a new value for each message with `{uuid}`.
    """

    __slots__ = (
        "_acks",
        "_joining",
        "_leaving",
        "_new_uuid",
        "_number",
        "_opening",
        "_rest",
        "_rooms",
        "_rule",
        "_say",
        "_template",
        "_values",
    )

    def __init__(
        self, template: Template, rule: DeliveryRule, values: Mapping[str, str], new_uuid: Callable[[], str]
    ) -> None:
        self._template = template
        self._rule = rule
        self._values = dict(values)
        self._new_uuid = new_uuid
        self._number = 0  # of the last message
        self._rooms: dict[str, dict[str, str]] = {}  # values of single rooms
        self._say: dict[str, TextTemplate] = {}  # by room, with all values that are the same in all messages
        self._opening = Exchange(template.open, self._values, self._encode)
        self._joining: dict[str, Exchange] = {}
        self._leaving: dict[str, Exchange] = {}
        self._acks = Correlation(template.ack) if template.ack is not None else None
        self._rest = b""  # of a message whose end has not arrived

    # --- sending ---

    def _encode(
        self, message: TextTemplate, values: Mapping[str, str], escaped_text: str | None = None
    ) -> tuple[bytes, dict[str, str]]:
        """Return a message as it is sent, and what is different in each one."""
        self._number += 1
        own = {NUMBER_OF_MESSAGE: str(self._number)}
        if UUID in message.names:
            own[UUID] = self._new_uuid()
        payload = message.fill({**values, **own}, escaped_text).encode()
        template = self._template
        if template.separator and template.ends_with_separator and not payload.endswith(template.separator):
            payload += template.separator
        return payload, own

    def _values_in(self, room: str) -> dict[str, str]:
        """Return the values of the placeholders in messages of a room, which steps may add to."""
        values = self._rooms.get(room)
        if values is None:
            values = self._rooms[room] = {**self._values, ROOM: room}
        return values

    @property
    def saved(self) -> Mapping[str, str]:
        """The values that the steps after the handshake have saved so far."""
        names = (name for step in self._template.open for name in step.save)
        return {name: self._values[name] for name in names if name in self._values}

    def add_room_values(self, room: str, values: Mapping[str, str]) -> None:
        """Add what HTTP requests have saved for a room."""
        self._values_in(room).update(values)
        self._say.pop(room, None)

    def open(self) -> Sequence[bytes]:
        """Return the messages of the first steps after the handshake."""
        return self._opening.begin()

    @property
    def awaited(self) -> str:
        """The message that the present step expects."""
        step = self._opening.step
        return f"{{{step.expect}}} ({step.key})" if step is not None else "nothing"

    def join(self, room: str) -> Sequence[bytes]:
        """Return the messages of the first steps that join a room."""
        self._say.pop(room, None)
        return self._begin(self._joining, self._template.join, room)

    def leave(self, room: str) -> Sequence[bytes]:
        """Return the messages of the first steps that leave a room."""
        self._joining.pop(room, None)
        return self._begin(self._leaving, self._template.leave, room)

    def _begin(self, exchanges: dict[str, Exchange], steps: Sequence[Step], room: str) -> Sequence[bytes]:
        exchange = Exchange(steps, self._values_in(room), self._encode)
        messages = exchange.begin()
        if exchange.step is not None:
            exchanges[room] = exchange
        return messages

    def say(self, room: str, text: str) -> bytes:
        """Return a chat message."""
        return self._chat_message(room, self._template.escape_text(text))

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return a chat message; no escape changes a stamp in the alphabet for URLs."""
        return self._chat_message(room, (stamp.for_any_server(prefix) + text).decode())

    def _chat_message(self, room: str, escaped_text: str) -> bytes:
        message = self._say.get(room)
        if message is None:
            if self._template.say is None:
                raise NotImplementedError(f"{self._template.file}: messages are sent over HTTP")
            message = self._say[room] = self._template.say.bind(self._values_in(room))
        payload, own = self._encode(message, {}, escaped_text)
        if self._acks is not None:
            self._acks.sent({**self._values_in(room), **own})
        return payload

    def typing(self, room: str) -> bytes:
        """Return a typing notice."""
        if self._template.typing is None:
            raise NotImplementedError(f"{self._template.file}: no typing notices")
        return self._encode(self._template.typing, self._values_in(room))[0]

    def keepalive(self) -> Sequence[bytes]:
        """Return the message that keeps the connection open."""
        message = self._template.keepalive
        return (self._encode(message, self._values)[0],) if message is not None else ()

    # --- receiving ---

    def split(self, payload: bytes) -> Sequence[bytes]:
        """Return the complete messages that a frame ends, without their separators."""
        *messages, rest = (self._rest + payload).split(self._template.separator)
        if self._template.ends_with_separator:
            self._rest = rest
        else:
            messages.append(rest)
        return [message for message in messages if message]

    def receive(self, payload: bytes) -> Sequence[Event]:
        """Return what a message means."""
        received = Received(payload)
        return self._receive_step(received) or self._receive_reply(received) or self._receive_other(received)

    def _receive_step(self, received: Received) -> list[Event]:
        """Return what a message means for the steps in progress."""
        progress = self._opening.receive(received)
        if progress is not None:
            opened = Opened(message=received.message()) if self._opening.step is None else None
            return _events(progress, opened, request_names.CONNECT)
        for exchanges, event in ((self._joining, Joined), (self._leaving, Left)):
            for room, exchange in exchanges.items():
                progress = exchange.receive(received)
                if progress is None:
                    continue
                if exchange.step is None or progress.refused is not None:
                    del exchanges[room]
                self._say.pop(room, None)  # the step may have saved values
                ended = event(room, message=received.message()) if exchange.step is None else None
                return _events(progress, ended, request_names.JOIN, room)
        return []

    def _receive_reply(self, received: Received) -> list[Event]:
        """Return the answer to a message that needs one."""
        for reply in self._template.reply_to:
            if reply.match.matches(received, self._values):
                saved = {name: received.find_text(path) or "" for name, path in reply.save.items()}
                answer, _ = self._encode(reply.send, {**self._values, **saved})
                return [Answer(answer, message=received.message())]
        return []

    def _receive_other(self, received: Received) -> list[Event]:
        template = self._template
        acknowledged = self._acks.receive(received) if self._acks is not None else None
        if acknowledged is not None and template.receive is None:
            return [acknowledged]  # it may repeat the text
        found = self._rule.find(received, self._values)
        if acknowledged is not None:
            return [acknowledged] if found is None else [acknowledged, Delivery(found)]
        for error in template.errors:
            if error.match.matches(received, self._values):
                label = received.find_text(error.label) if error.label is not None else None
                return [Refused(f"error: {label}" if label else "error", message=received.message())]
        if found is not None:
            return [Delivery(found, message=received.message())]
        return [Event(message=received.message())]


def _events(progress: Progress, ended: Event | None, request: str, room: str | None = None) -> list[Event]:
    """Return the events of a step: messages to send, then that it is refused or what its end means."""
    events: list[Event] = [Answer(message) for message in progress.messages]
    if progress.refused is not None:
        events.append(Refused(progress.refused, request, room=room))
    elif ended is not None:
        events.append(ended)
    return events or [Event()]
