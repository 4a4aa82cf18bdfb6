"""What a server sends means the same, however its bytes are split and its independent messages are ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialect_registry import BUILT_IN
from stampede.dialects.base import Dialect, Feature
from stampede.dialects.events import Acknowledged, Delivery, Event, Joined, Opened, Refused
from stampede.ledger import stamp
from stampede.websocket.frames import FrameSplitter, binary_frame, text_frame
from tests.stampede.dialects.exchanges import EXCHANGES, ROOM, VALUES, Exchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


every_exchange = pytest.mark.parametrize("name", EXCHANGES)


def events_of(dialect: Dialect, payloads: Iterable[bytes], messages_sent: int) -> list[Event]:
    """Return the events of the payloads of frames, as the load generator handles them."""
    conversation = dialect.converse(VALUES, [ROOM])
    conversation.open()
    conversation.join(ROOM)
    for seq in range(messages_sent):
        conversation.say_stamped(ROOM, stamp.make(1, 1, 1, 3, 2, seq), b"hello")
    if Feature.PING in dialect.features:
        conversation.ping(7)
    events: list[Event] = []
    for payload in payloads:
        for message in conversation.split(payload) if dialect.splits_frames else [payload]:
            fields = dialect.find_stamp(message)
            events += conversation.receive(message) if fields is None else [Delivery(tuple(fields))]  # type: ignore[arg-type]
    return events


def pieces(data: st.DataObject, stream: bytes) -> list[bytes]:
    """Return a stream in pieces of any lengths."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def merged(data: st.DataObject, *sequences: Sequence[bytes]) -> list[bytes]:
    """Return the elements of all sequences in any order that keeps that of each."""
    turns = data.draw(st.permutations([number for number, one in enumerate(sequences) for _ in one]))
    iterators = [iter(one) for one in sequences]
    return [next(iterators[number]) for number in turns]


def in_order(exchange: Exchange) -> list[bytes]:
    """Return the messages without the pings."""
    return [*exchange.opening, *exchange.deliveries, *exchange.acknowledgements]


def counted(events: Sequence[Event]) -> list[str]:
    """Return the events in a form that does not depend on their order."""
    return sorted(map(repr, events))


def test_every_dialect_with_a_class_of_its_own_has_an_exchange() -> None:
    classes = {place for place in BUILT_IN.values() if not place.startswith("stampede.dialects.template")}
    recorded = {f"{type(one.dialect).__module__}:{type(one.dialect).__name__}" for one in EXCHANGES.values()}
    assert classes - {"stampede.dialects.base:Dialect"} <= recorded


@every_exchange
def test_a_recorded_exchange_has_the_events_that_its_dialect_promises(name: str) -> None:
    exchange = EXCHANGES[name]
    dialect = exchange.dialect
    sent = len(exchange.acknowledgements)

    def count(kind: type[Event], messages: Sequence[bytes]) -> int:
        return sum(isinstance(event, kind) for event in events_of(dialect, messages, sent))

    everything = in_order(exchange)
    assert count(Opened, exchange.opening) == dialect.confirms_opening
    assert count(Joined, exchange.opening) == dialect.acknowledges_joins
    assert count(Delivery, exchange.opening) == 0
    assert count(Delivery, everything) == len(exchange.deliveries) > 0
    assert count(Acknowledged, everything) == (sent if dialect.acknowledges_messages else 0)
    assert count(Refused, everything) == 0
    assert bool(exchange.acknowledgements) == dialect.acknowledges_messages


@every_exchange
@given(data=st.data())
def test_any_split_of_the_stream_of_frames_gives_the_same_events(name: str, data: st.DataObject) -> None:
    exchange = EXCHANGES[name]
    dialect = exchange.dialect
    messages = [*in_order(exchange), *exchange.pings]
    sent = len(exchange.acknowledgements)
    frame = binary_frame if exchange.is_binary else text_frame
    splitter = FrameSplitter(masked=False, max_size=1 << 20, binary=dialect.receives_binary)
    payloads = [one for piece in pieces(data, b"".join(map(frame, messages))) for one in splitter.split(piece)]
    assert events_of(dialect, payloads, sent) == events_of(dialect, messages, sent)


@pytest.mark.parametrize("name", [name for name, exchange in EXCHANGES.items() if exchange.dialect.splits_frames])
@given(data=st.data())
def test_any_distribution_of_messages_over_frames_gives_the_same_events(name: str, data: st.DataObject) -> None:
    exchange = EXCHANGES[name]
    dialect = exchange.dialect
    messages = [*in_order(exchange), *exchange.pings]
    sent = len(exchange.acknowledgements)
    payloads = pieces(data, b"".join(messages))
    assert events_of(dialect, payloads, sent) == events_of(dialect, messages, sent)


@every_exchange
@given(data=st.data())
def test_deliveries_and_acknowledgements_mean_the_same_in_any_order(name: str, data: st.DataObject) -> None:
    exchange = EXCHANGES[name]
    dialect = exchange.dialect
    sent = len(exchange.acknowledgements)
    expected = events_of(dialect, in_order(exchange), sent)
    # A delivery may overtake the confirmation of a join, too.
    greeting, confirmed = exchange.opening[:1], exchange.opening[1:]
    chat = merged(data, [*confirmed, *exchange.acknowledgements], exchange.deliveries)
    events = events_of(dialect, [*greeting, *chat], sent)
    assert counted(events) == counted(expected)
    for kind in (Delivery, Acknowledged):
        assert [one for one in events if isinstance(one, kind)] == [one for one in expected if isinstance(one, kind)]


@pytest.mark.parametrize("name", [name for name, exchange in EXCHANGES.items() if exchange.pings])
@given(data=st.data())
def test_pings_at_any_moment_change_no_other_event(name: str, data: st.DataObject) -> None:
    exchange = EXCHANGES[name]
    dialect = exchange.dialect
    sent = len(exchange.acknowledgements)
    messages = in_order(exchange)
    pings = data.draw(st.lists(st.sampled_from(exchange.pings), max_size=5))
    of_pings = events_of(dialect, [*exchange.opening, *pings], sent)[len(events_of(dialect, exchange.opening, sent)) :]
    greeting = exchange.opening[:1]
    events = events_of(dialect, [*greeting, *merged(data, messages[len(greeting) :], pings)], sent)
    assert counted(events) == counted([*events_of(dialect, messages, sent), *of_pings])
    others = [event for event in events if event not in of_pings]
    assert others == [event for event in events_of(dialect, messages, sent) if event not in of_pings]
