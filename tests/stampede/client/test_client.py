"""One chat client against our server, the plain one, and one that answers with errors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from stampede.client.replies import AnswerError
from stampede.measure.request_names import CONNECT, PING, SEND, TYPING
from stampede.measure.storm import Storm
from stampede.measure.storm_results import results
from stampede.websocket.errors import LostError
from tests.stampede.client.client_group import ClientGroup
from tests.stampede.connections import TIMEOUT, until

if TYPE_CHECKING:
    from tests.processes import RunningServer


def exchange_messages(group: ClientGroup) -> None:
    clients = [group.member(f"user-{number}") for number in range(4)]
    for number in range(20):
        clients[number % 4].say()
    until(lambda: group.deliveries.in_flight == 0)
    assert (group.deliveries.expected, group.deliveries.received, group.deliveries.lost) == (60, 60, 0)
    assert group.measures.latency.sent.count == group.measures.latency.intended.count == 60
    assert group.measures.sends.sent == 20
    clients[0].ping()
    until(lambda: group.measures.requests[PING].times.count == 1)
    for client in clients:
        client.chat.close(TIMEOUT, TIMEOUT)
    assert group.room.joined_count == 0
    assert group.lost == 0


def test_every_delivery_is_timed_and_counted_in_the_ledger(group: ClientGroup) -> None:
    exchange_messages(group)


def test_the_plain_server_gives_the_same_numbers(plain_group: ClientGroup) -> None:
    exchange_messages(plain_group)


def test_a_message_that_is_too_late_is_skipped_and_counted(group: ClientGroup) -> None:
    client = group.member("late")
    client.say_at(time.monotonic_ns() - 6_000_000_000)
    client.say_at(time.monotonic_ns() - 200_000_000)
    sends = group.measures.sends
    assert (sends.intended, sends.sent, sends.late, sends.skipped) == (2, 1, 1, 1)
    assert group.failures(SEND) == {"skipped: too late": 1}


def test_messages_that_are_due_before_the_join_are_sent_after_it(
    group: ClientGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their latency from the due time is longer than from the actual send."""
    monkeypatch.setattr("stampede.client.outbox.MAX_AGE", TIMEOUT * 1e9)  # the join may take a while
    group.member("listener")
    client = group.client()
    stale, due = time.monotonic_ns() - 6_000_000_000, time.monotonic_ns() - 4_000_000_000
    for intended in (due, due + 1):
        client.say_at(intended)
    client.typing_at(due)
    client.say_at(stale)
    measures = group.measures
    assert (measures.waiting, measures.sends.sent, measures.sends.skipped) == (2, 0, 1)
    client.chat.rooms.enter([group.room], TIMEOUT)
    until(lambda: group.deliveries.received == 2)
    assert (
        measures.waiting,
        measures.sends.intended,
        measures.sends.sent,
        measures.sends.held,
        measures.sends.late,
    ) == (0, 3, 2, 2, 2)
    assert (measures.latency.intended.quantile(0) or 0) > 3e9
    assert measures.latency.sent.total < measures.latency.intended.total / 2
    assert measures.send_lag.count == 2  # the load generator was ready at the due time
    assert group.failures(SEND) == {"skipped: too late": 1}
    assert group.failures(TYPING) == {"dropped: not in a room": 1}


def test_messages_without_a_room_are_skipped_and_are_no_failure_if_that_was_on_purpose(group: ClientGroup) -> None:
    client = group.client()
    client.say()
    client.chat.sender.discard_queued("skipped: still queued at the end")
    client.say()
    client.chat.sender.discard_queued()
    client.chat.is_offline = True
    client.say()
    client.typing()
    measures = group.measures
    assert (measures.waiting, measures.sends.intended, measures.sends.sent, measures.sends.skipped) == (0, 3, 0, 3)
    assert group.failures(SEND) == {"skipped: still queued at the end": 1}
    assert group.failures(TYPING) == {}


def test_a_refused_name_fails_the_join(group: ClientGroup) -> None:
    with pytest.raises(AnswerError, match=r"^error: invalid_field$"):
        group.client("").chat.rooms.enter([group.room], TIMEOUT)


def test_a_lost_connection_calls_on_lost_and_ends_the_membership(group: ClientGroup, server: RunningServer) -> None:
    one, two = group.member("one"), group.member("two")
    server.kill()
    until(lambda: group.lost == 2)
    assert group.failures(CONNECT) == {"connection lost: 1006": 2}
    assert not one.is_connected
    assert not two.is_connected
    assert group.room.joined_count == 0
    with pytest.raises(LostError):
        one.chat.rooms.join(group.room, TIMEOUT)


def test_messages_of_another_run_are_counted_separately(group: ClientGroup, server: RunningServer) -> None:
    other = ClientGroup(server.url, origin=99)
    group.member("ours")
    theirs = other.member("theirs")
    theirs.say()
    until(lambda: group.measures.deliveries.foreign_clock == 1)
    assert (group.deliveries.received, group.deliveries.duplicated) == (0, 0)
    other.reactor.close()


def test_a_storm_records_the_deliveries_to_the_users_that_it_did_not_drop(group: ClientGroup) -> None:
    sender, dropped, unaffected = (group.member(name) for name in ("sender", "dropped", "unaffected"))
    group.context.storm = dropped.chat.handler.storm = Storm(1, time.monotonic_ns(), 0.0, 3)
    sender.say()
    until(lambda: group.deliveries.received == 2)
    (result,) = results([group.context.storm.part(time.monotonic_ns())])
    assert result.unaffected.count == 1
    latency = group.measures.latency
    assert (latency.intended.count, latency.sent.count) == (2, 2)  # each delivery counts once
    unaffected.chat.close(0, TIMEOUT)
