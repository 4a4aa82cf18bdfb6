"""Samples of rooms: which rooms and members, for how long, and what they cost the others."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest

from stampede.client.chat_connection import ChatConnection
from stampede.client.context import ClientContext
from stampede.dialects.stampede import StampedeDialect
from stampede.ledger import stamp
from stampede.ledger.counts import OrderCounts
from stampede.ledger.room import Room
from stampede.measure.measures import Measures
from stampede.pool import order_sampler
from stampede.pool.order_sampler import OrderSampler

if TYPE_CHECKING:
    from stampede.client.message_handler import MessageHandler
    from stampede.ledger.membership import Membership
    from stampede.websocket.errors import LostError

ORIGIN = 3


class Process:
    """The rooms and message handlers of one process, without a server."""

    def __init__(self, *sizes: int) -> None:
        self.measures = Measures()
        self.context = ClientContext(self.measures, StampedeDialect(), ORIGIN, "", self.raise_error)
        self.rooms = [Room(number, f"room-{number}", self.measures.address_pairs) for number in range(len(sizes))]
        self.handlers: list[MessageHandler] = []
        for room, size in zip(self.rooms, sizes, strict=True):
            for _ in range(size):
                self.add_user(room)
        self.sampler = OrderSampler(self.measures.order)

    def connection_lost(self, error: LostError, in_flight: int) -> None:
        """Do nothing: no user is connected."""

    def raise_error(self, error: Exception) -> None:
        raise error

    def add_user(self, *rooms: Room) -> MessageHandler:
        handler = ChatConnection(self.context, self).handler
        for room in rooms:
            self.join(handler, room)
        self.handlers.append(handler)
        return handler

    def join(self, handler: MessageHandler, room: Room) -> Membership:
        membership = handler.memberships[room.number] = room.enter()
        membership.confirm_join()
        handler.membership = handler.membership or membership
        return membership

    def next_sample(self) -> None:
        deque(self.sampler.next_sample(self.rooms, self.handlers), maxlen=0)

    @property
    def sampled(self) -> list[int]:
        """Numbers of the handlers whose deliveries are recorded."""
        return [number for number, handler in enumerate(self.handlers) if handler.on_delivery is not None]


def send(sender: MessageHandler, room: Room) -> bytes:
    """Send a message to a room; return it as the server delivers it."""
    membership = sender.memberships[room.number]
    prefix = stamp.make(1, 1, ORIGIN, room.number, membership.slot, room.send(membership))
    return b'{"type":"chatMessage","user":"ann","text":"%s","timestamp":1}' % prefix


def deliver(to: MessageHandler, *messages: bytes) -> None:
    for message in messages:
        to.message_received(message, 2_000)


def test_a_swap_for_one_member_is_counted_once_and_is_no_reordering() -> None:
    process = Process(5)
    process.next_sample()
    ann, bob, *others = process.handlers
    from_ann, from_bob = send(ann, process.rooms[0]), send(bob, process.rooms[0])
    deliver(ann, from_bob)
    deliver(bob, from_ann)
    for other in others[:-1]:
        deliver(other, from_ann, from_bob)
    deliver(others[-1], from_bob, from_ann)
    process.next_sample()
    assert process.measures.order == OrderCounts(samples=1, members=3, messages=2, divergent=1)
    assert (process.measures.deliveries.received, process.measures.deliveries.reordered) == (8, 0)


def test_nothing_is_recorded_before_the_first_sample() -> None:
    process = Process(4)
    assert process.sampled == []
    message = send(process.handlers[0], process.rooms[0])
    for handler in process.handlers[1:]:
        deliver(handler, message)
    process.next_sample()
    deque(process.sampler.compare(), maxlen=0)
    assert process.sampled == []
    assert process.measures.order == OrderCounts()


def test_members_whose_users_are_being_stopped_are_not_sampled() -> None:
    process = Process(4)
    process.handlers.clear()
    process.next_sample()
    process.next_sample()
    assert process.measures.order == OrderCounts()


def test_rooms_are_sampled_in_turn_and_those_without_two_members_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_sampler, "MAX_MEMBERS", 5)
    process = Process(2, 1, 3, 0, 4, 9)
    turns = []
    for _ in range(4):
        process.next_sample()
        turns.append(process.sampled)
    small, four = [0, 1, 3, 4, 5], [6, 7, 8, 9]
    assert turns == [small, four, [10, 11, 12, 13, 14], small]


def test_of_a_large_room_other_members_are_sampled_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_sampler, "MAX_MEMBERS", 3)
    process = Process(7)
    turns = []
    for _ in range(3):
        process.next_sample()
        turns.append(process.sampled)
    assert turns == [[0, 1, 2], [3, 4, 5], [0, 1, 6]]


def test_only_the_first_messages_of_a_sample_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_sampler, "MAX_MESSAGES", 2)
    process = Process(5)
    process.next_sample()
    messages = [send(sender, process.rooms[0]) for sender in process.handlers[:3]]
    for handler in process.handlers[3:]:
        deliver(handler, *messages)
    assert process.sampled == [0, 1, 2], "further deliveries to the others cost nothing"
    process.next_sample()
    assert process.measures.order == OrderCounts(samples=1, members=2, messages=2)


def test_a_member_that_leaves_is_compared_over_what_it_received() -> None:
    process = Process(5)
    ann, bob, carl, dan, eve = process.handlers
    process.next_sample()
    messages = [send(ann, process.rooms[0]), send(bob, process.rooms[0])]
    deliver(carl, *messages)
    deliver(dan, *messages)
    deliver(eve, *reversed(messages))
    left = eve.memberships.pop(0)
    left.leave()
    process.join(eve, process.rooms[0])
    later = [send(ann, process.rooms[0]), send(bob, process.rooms[0])]
    deliver(carl, *later)
    deliver(dan, *later)
    deliver(eve, *later)
    process.next_sample()
    assert process.measures.order == OrderCounts(samples=1, members=3, messages=4, divergent=1)


def test_a_user_of_several_rooms_is_compared_in_the_sampled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_sampler, "MAX_MEMBERS", 4)
    process = Process(0, 0)
    first, second = process.rooms
    ann, bob, carl, dan = (process.add_user(first, second) for _ in range(4))
    process.next_sample()
    messages = [send(ann, first), send(bob, first)]
    in_second = [send(ann, second), send(bob, second)]
    deliver(carl, *messages, *in_second)
    deliver(dan, *messages, *reversed(in_second))
    process.next_sample()
    assert process.measures.order == OrderCounts(samples=1, members=2, messages=2)


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_function_that_times_the_resync_keeps_its_place(when: str) -> None:
    process = Process(4)
    times: list[int] = []

    def on_resync(now: int, _membership: Membership, _slot: int, _seq: int) -> None:
        times.append(now)

    if when == "before":
        process.handlers[3].on_delivery = on_resync
    process.next_sample()
    process.handlers[3].on_delivery = on_resync
    deliver(process.handlers[3], send(process.handlers[0], process.rooms[0]))
    deque(process.sampler.compare(), maxlen=0)
    assert times == [2_000]
    assert process.sampled == [3]


def test_a_second_copy_and_a_late_delivery_are_not_compared() -> None:
    """The order of what the ledger does not count as received says nothing."""
    process = Process(4)
    process.next_sample()
    ann, bob, carl, dan = process.handlers
    first, second = send(ann, process.rooms[0]), send(bob, process.rooms[0])
    deliver(carl, first, second, first)
    deliver(dan, second)
    for _ in range(2):
        deque(process.rooms[0].sweep(), maxlen=0)
    deliver(dan, first)
    process.next_sample()
    counts = process.measures.deliveries
    assert (counts.duplicated, counts.late) == (1, 1)
    assert process.measures.order == OrderCounts()
