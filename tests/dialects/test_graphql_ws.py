"""The preset graphql-ws against the server of the npm package graphql-ws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede import LoadGenerator, StampedeError
from tests.dialects.load import agree_on_counts, agree_on_latency, carry, survive_a_restart, survive_a_storm
from tests.dialects.programs import PROGRAMS, measure_latencies
from tests.stampede.fixtures import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dialects.fixtures import StartReal
    from tests.stampede.fixtures import Locust

DIALECT = "graphql-ws"


def test_it_carries_a_load_without_a_lost_delivery(locust: Callable[..., Locust], start_real: StartReal) -> None:
    server = start_real("graphql-ws")
    ended = carry(locust, server, "--dialect", DIALECT)
    agree_on_counts(server, ended, echoes=True)
    assert ended.own_requests()["ack"] == (ended.ledger()["sent"], 0)


def test_users_come_back_after_a_storm(start_real: StartReal) -> None:
    server = start_real("graphql-ws")
    server.expects_problems = True  # it logs a write to a connection that was reset
    survive_a_storm(server, DIALECT)


def test_users_come_back_to_a_restarted_server(start_real: StartReal) -> None:
    survive_a_restart(start_real("graphql-ws"), DIALECT)


def test_the_latency_is_that_of_an_independent_client(start_real: StartReal) -> None:
    server = start_real("graphql-ws")
    (client,) = PROGRAMS["graphql-ws"].clients.values()
    flags = ("--texts", "100", "--interval", "0.02")
    agree_on_latency(server, DIALECT, lambda: float(measure_latencies(server, client, *flags)["p10_ms"]))


def test_a_refused_connection_is_reported_in_one_line(start_real: StartReal) -> None:
    server = start_real("graphql-ws", "--token", "secret")
    with pytest.raises(StampedeError, match="open: the server closed the connection: 4403 Forbidden"):
        LoadGenerator(server.url, dialect=DIALECT).__enter__()
    with LoadGenerator(server.url, dialect=DIALECT, token="secret") as generator:
        generator.join("open")
        assert not generator.failures


def test_a_refused_subscription_is_counted_with_its_reason(start_real: StartReal) -> None:
    """The server does not confirm subscriptions, so that the user counts as joined."""
    server = start_real("graphql-ws", "--refuse-room", "closed")
    with LoadGenerator(server.url, dialect=DIALECT) as generator:
        generator.join("closed")
        assert generator.wait_until(lambda: bool(generator.failures), TIMEOUT)
        assert generator.failures == {"send": {"error: forbidden": 1}}
