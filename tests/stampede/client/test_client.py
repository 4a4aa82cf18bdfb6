"""One chat client against our server, the plain one, and one that answers with errors."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import gevent
import pytest

from stampede.client.client import AnswerError, ChatClient
from stampede.client.context import ClientContext
from stampede.client.upload import upload
from stampede.ledger.room import Room
from stampede.measure.measures import Measures
from stampede.measure.request_names import CONNECT, PING, SEND, TYPING, UPLOAD
from stampede.measure.storm import Storm
from stampede.measure.storm_results import results
from stampede.websocket.errors import LostError
from stampede.websocket.reactor import Reactor
from stampede.websocket.target import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.processes import ServerProcess
    from stampede.ledger.counts import DeliveryCounts
    from tests.processes import RunningServer

TIMEOUT = 30.0


class Group:
    """Clients of one process in one room."""

    def __init__(self, url: str, origin: int = 2) -> None:
        self.faults: list[Exception] = []
        self.reactor = Reactor(Random(1), self.faults.append)
        self.target = resolve(f"{url}/")
        self.measures = Measures()
        self.context = ClientContext(self.measures, origin, b"." * 15)
        self.room = Room(7, self.measures.deliveries)
        self.lost = 0

    def client(self) -> ChatClient:
        client = ChatClient(self.context, self.on_lost)
        client.connect(self.reactor, self.target, TIMEOUT)
        return client

    def member(self, name: str) -> ChatClient:
        client = self.client()
        client.join(name, "room-7", self.room, TIMEOUT)
        return client

    def on_lost(self) -> None:
        self.lost += 1

    def failures(self, name: str) -> dict[str, int]:
        return self.measures.requests[name].failures

    @property
    def tally(self) -> DeliveryCounts:
        return self.measures.deliveries


@pytest.fixture
def group(server: RunningServer) -> Iterator[Group]:
    made = Group(server.url)
    yield made
    made.reactor.close()
    assert made.faults == []


@pytest.fixture
def plain_group(plain_peer: ServerProcess) -> Iterator[Group]:
    made = Group(plain_peer.url)
    yield made
    made.reactor.close()
    assert made.faults == []


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        gevent.sleep(0.005)


def talk(group: Group) -> None:
    clients = [group.member(f"user-{number}") for number in range(4)]
    for number in range(20):
        clients[number % 4].say(time.monotonic_ns())
    until(lambda: group.tally.in_flight == 0)
    assert (group.tally.expected, group.tally.received, group.tally.lost) == (60, 60, 0)
    assert group.measures.latency.sent.count == group.measures.latency.intended.count == 60
    assert group.measures.sends.sent == 20
    clients[0].ping(time.monotonic_ns())
    until(lambda: group.measures.requests[PING].times.count == 1)
    for client in clients:
        client.leave(TIMEOUT, TIMEOUT)
    assert group.room.joined_count == 0
    assert group.lost == 0


def test_every_delivery_is_timed_and_entered_in_the_ledger(group: Group) -> None:
    talk(group)


def test_the_plain_server_gives_the_same_numbers(plain_group: Group) -> None:
    talk(plain_group)


def test_a_message_that_is_too_late_is_skipped_and_counted(group: Group) -> None:
    client = group.member("late")
    client.say(time.monotonic_ns() - 6_000_000_000)
    client.say(time.monotonic_ns() - 200_000_000)
    sends = group.measures.sends
    assert (sends.intended, sends.sent, sends.late, sends.skipped) == (2, 1, 1, 1)
    assert group.failures(SEND) == {"skipped: too late": 1}


def test_what_is_said_before_the_room_is_entered_is_sent_once_it_is(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the two clocks part: it was due long before it could be sent."""
    monkeypatch.setattr("stampede.client.outbox.MAX_AGE", TIMEOUT * 1e9)  # the join may take a while
    group.member("listener")
    client = group.client()
    stale, due = time.monotonic_ns() - 6_000_000_000, time.monotonic_ns() - 4_000_000_000
    for intended in (due, due + 1):
        client.say(intended)
    client.type(due)
    client.say(stale)
    measures = group.measures
    assert (measures.waiting, measures.sends.sent, measures.sends.skipped) == (2, 0, 1)
    client.join("late", "room-7", group.room, TIMEOUT)
    until(lambda: group.tally.received == 2)
    assert (
        measures.waiting,
        measures.sends.intended,
        measures.sends.sent,
        measures.sends.held,
        measures.sends.late,
    ) == (0, 3, 2, 2, 2)
    assert (measures.latency.intended.quantile(0) or 0) > 3e9
    assert measures.latency.sent.total < measures.latency.intended.total / 2
    assert measures.send_lag.count == 2  # the generator had them ready when it was told to
    assert group.failures(SEND) == {"skipped: too late": 1}
    assert group.failures(TYPING) == {"dropped: not in a room": 1}


def test_what_never_finds_a_room_is_skipped_and_on_purpose_it_is_no_failure(group: Group) -> None:
    client = group.client()
    client.say(time.monotonic_ns())
    client.discard_queued("skipped: held back until the end")
    client.say(time.monotonic_ns())
    client.discard_queued()
    client.is_offline = True
    client.say(time.monotonic_ns())
    client.type(time.monotonic_ns())
    measures = group.measures
    assert (measures.waiting, measures.sends.intended, measures.sends.sent, measures.sends.skipped) == (0, 3, 0, 3)
    assert group.failures(SEND) == {"skipped: held back until the end": 1}
    assert group.failures(TYPING) == {}


def test_a_refused_name_is_a_join_that_failed(group: Group) -> None:
    with pytest.raises(AnswerError, match=r"^error: invalid_field$"):
        group.client().join("", "room-7", group.room, TIMEOUT)


def test_a_server_that_vanishes_is_told_to_the_owner_and_frees_the_ledger(group: Group, server: RunningServer) -> None:
    one, two = group.member("one"), group.member("two")
    server.kill()
    until(lambda: group.lost == 2)
    assert group.failures(CONNECT) == {"connection lost: 1006": 2}
    assert not one.is_ready
    assert not two.is_ready
    assert group.room.joined_count == 0
    with pytest.raises(LostError):
        one.wait_for_answer(TIMEOUT)


def test_messages_of_another_run_are_counted_apart(group: Group, server: RunningServer) -> None:
    other = Group(server.url, origin=99)
    group.member("ours")
    theirs = other.member("theirs")
    theirs.say(time.monotonic_ns())
    until(lambda: group.measures.deliveries.foreign_clock == 1)
    assert (group.tally.received, group.tally.duplicated) == (0, 0)
    other.reactor.close()


def test_a_storm_records_the_deliveries_to_the_users_that_it_did_not_drop(group: Group) -> None:
    sender, dropped, unaffected = (group.member(name) for name in ("sender", "dropped", "unaffected"))
    group.context.storm = dropped.storm = Storm(1, time.monotonic_ns(), 0.0, 3)
    sender.say(time.monotonic_ns())
    until(lambda: group.tally.received == 2)
    (result,) = results([group.context.storm.part(time.monotonic_ns())])
    assert result.unaffected.count == 1
    latency = group.measures.latency
    assert (latency.intended.count, latency.sent.count) == (2, 2)  # each delivery counts once
    unaffected.leave(0, TIMEOUT)


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1_000_000])
def test_an_upload_is_checked_against_what_the_server_stored(
    group: Group, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("stampede.client.upload._READY_SECONDS", TIMEOUT)
    upload(group.member("sharer"), group.measures, size, Random(1), time.monotonic_ns())
    request = group.measures.requests[UPLOAD]
    assert (request.times.count, request.failures) == (1, {})
    assert group.measures.optional == {"fileReady": True, "fileSaved": True}


def test_a_refused_upload_is_a_failure_with_the_server_s_code(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stampede.client.upload._READY_SECONDS", TIMEOUT)
    upload(group.member("hoarder"), group.measures, 1 << 30, Random(1), time.monotonic_ns())
    assert group.failures(UPLOAD) == {"error: upload_too_large": 1}


def test_answers_that_a_plain_server_never_gives_are_waited_for_once(
    plain_group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stampede.client.upload._READY_SECONDS", 0.2)
    client = plain_group.member("sharer")
    for _ in range(5):
        upload(client, plain_group.measures, 70_000, Random(1), time.monotonic_ns())
    request = plain_group.measures.requests[UPLOAD]
    assert (request.times.count, request.failures) == (5, {})
    assert plain_group.measures.optional == {"fileReady": False, "fileSaved": False}
