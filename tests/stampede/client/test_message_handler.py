"""Events of a dialect that a user has written are handled whatever they contain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stampede.client.context import ClientContext
from stampede.client.message_handler import MessageHandler
from stampede.client.replies import reply_matcher
from stampede.dialects.base import Dialect
from stampede.dialects.events import MAX_LABEL, Closed, Event, Refused
from stampede.measure.measures import Measures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.websocket.errors import LostError


class Given(Dialect):
    """Each message means the same event."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def receive(self, payload: bytes) -> Sequence[Event]:
        return (self._event,)


class NoChat:
    """A connection that does nothing."""

    def resume_writing(self) -> None:
        pass

    def connection_lost(self, error: LostError) -> None:
        pass

    def answer(self, payload: bytes) -> None:
        pass

    def closed_by_server(self, reason: str) -> None:
        pass

    def acknowledged(self, number: int | None, now: int) -> None:
        pass


def handler_of(event: Event, measures: Measures) -> MessageHandler:
    return MessageHandler(ClientContext(measures, Given(event), 1, "", errors.append), NoChat())


errors: list[Exception] = []


@pytest.mark.parametrize(("request_name", "row"), [(None, "send"), ("join", "join"), ("subscribe", "subscribe")])
def test_a_refusal_counts_for_any_request_that_the_dialect_names(request_name: str | None, row: str) -> None:
    measures = Measures()
    handler_of(Refused("error: full", request_name), measures).message_received(b"x", 1)
    assert measures.requests[row].failures == {"error: full": 1}


def test_a_message_without_a_type_matches_no_callback_and_no_reply() -> None:
    received: list[dict[str, Any]] = []
    event = Event(message={"op": "welcome"})
    handler = handler_of(event, Measures())
    handler.add_callback("welcome", received.append)
    handler.message_received(b"x", 1)
    assert not received
    assert not reply_matcher("hello", "welcome", errors)(event)


def test_labels_are_cut_since_they_may_contain_any_text_of_the_server() -> None:
    assert Refused("x" * 999).label == Closed("x" * 999).reason == "x" * MAX_LABEL
