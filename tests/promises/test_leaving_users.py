"""A client that leaves waits for what is on its way to it; what cannot come any more is churn and no loss."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent
import pytest

from tests.stampede.client.test_client import Group
from tests.stampede.connections import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.client.client import ChatClient
    from tests.processes import RunningServer


@pytest.fixture
def group(server: RunningServer) -> Iterator[Group]:
    made = Group(server.url)
    yield made
    made.reactor.close()


def counts(group: Group) -> tuple[int, int, int, int]:
    """Return expected, received, lost, churned."""
    tally = group.tally
    return tally.expected, tally.received, tally.lost, tally.churned


def owed_something(group: Group) -> tuple[ChatClient, gevent.Greenlet[..., int]]:
    """Let a client leave with a grace period while a message is owed to it that never comes."""
    talker, leaver = group.member("talker"), group.member("leaver")
    assert talker.membership is not None
    talker.membership.room.send(talker.membership)  # entered in the ledger, but not sent
    leaving = gevent.spawn(leaver.leave, PATIENCE, PATIENCE)
    gevent.sleep(0.05)
    assert counts(group) == (1, 0, 0, 0)
    return leaver, leaving


def test_what_does_not_come_within_the_grace_period_is_lost(group: Group) -> None:
    talker, leaver = group.member("talker"), group.member("leaver")
    assert talker.membership is not None
    talker.membership.room.send(talker.membership)
    assert leaver.leave(0.05, PATIENCE) == 0
    assert counts(group) == (1, 0, 1, 0)


def test_a_connection_that_the_server_ends_in_the_grace_period_is_churn(group: Group, server: RunningServer) -> None:
    _, leaving = owed_something(group)
    server.kill()
    leaving.get(timeout=PATIENCE)
    assert counts(group) == (0, 0, 0, 1)
    assert group.faults == []


def test_a_connection_that_a_fault_of_ours_ends_in_the_grace_period_is_churn(group: Group) -> None:
    """The reactor drops a connection whose receiver raised, and tells only of the fault."""
    leaver, leaving = owed_something(group)
    connection = leaver.connection
    assert connection is not None
    connection.abort()
    assert leaving.get(timeout=PATIENCE) == 1
    assert counts(group) == (0, 0, 0, 1)


def test_what_comes_within_the_grace_period_is_received(group: Group) -> None:
    talker, leaver = group.member("talker"), group.member("leaver")
    talker.say(monotonic_ns())
    assert leaver.leave(PATIENCE, PATIENCE) == 0
    assert counts(group) == (1, 1, 0, 0)
    until(lambda: group.room.joined_count == 1)
