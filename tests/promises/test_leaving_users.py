"""A client that leaves waits for deliveries in flight; those that can no longer arrive are churn, not loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

from tests.stampede.connections import TIMEOUT, until

if TYPE_CHECKING:
    from tests.processes import RunningServer
    from tests.stampede.client.client_group import ClientGroup, GroupClient


def counts(group: ClientGroup) -> tuple[int, int, int, int]:
    """Return expected, received, lost, churned."""
    deliveries = group.deliveries
    return deliveries.expected, deliveries.received, deliveries.lost, deliveries.churned


def start_leaving(group: ClientGroup) -> tuple[GroupClient, gevent.Greenlet[..., int]]:
    """Let a client leave with a grace period while it is owed a message that never arrives."""
    sender, leaver = group.member("sender"), group.member("leaver")
    assert sender.chat.handler.membership is not None
    sender.chat.handler.membership.room.send(sender.chat.handler.membership)  # counted in the ledger, but not sent
    leaving = gevent.spawn(leaver.chat.close, TIMEOUT, TIMEOUT)
    gevent.sleep(0.05)
    assert counts(group) == (1, 0, 0, 0)
    return leaver, leaving


def test_a_delivery_that_does_not_arrive_within_the_grace_period_is_lost(group: ClientGroup) -> None:
    sender, leaver = group.member("sender"), group.member("leaver")
    assert sender.chat.handler.membership is not None
    sender.chat.handler.membership.room.send(sender.chat.handler.membership)
    assert leaver.chat.close(0.05, TIMEOUT) == 0
    assert counts(group) == (1, 0, 1, 0)


def test_deliveries_to_a_connection_that_the_server_closes_in_the_grace_period_are_churn(
    group: ClientGroup, server: RunningServer
) -> None:
    _, leaving = start_leaving(group)
    server.kill()
    leaving.get(timeout=TIMEOUT)
    assert counts(group) == (0, 0, 0, 1)
    assert group.faults == []


def test_deliveries_to_a_connection_that_is_aborted_in_the_grace_period_are_churn(group: ClientGroup) -> None:
    """The reactor aborts a connection whose receiver raised, and does not call `lost`."""
    leaver, leaving = start_leaving(group)
    connection = leaver.chat.connection
    assert connection is not None
    connection.abort()
    assert leaving.get(timeout=TIMEOUT) == 1
    assert counts(group) == (0, 0, 0, 1)


def test_a_delivery_within_the_grace_period_is_received(group: ClientGroup) -> None:
    sender, leaver = group.member("sender"), group.member("leaver")
    sender.say()
    assert leaver.chat.close(TIMEOUT, TIMEOUT) == 0
    assert counts(group) == (1, 1, 0, 0)
    until(lambda: group.room.joined_count == 1)
