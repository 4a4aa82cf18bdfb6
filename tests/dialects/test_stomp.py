"""The dialect stomp against RabbitMQ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede import LoadGenerator, StampedeError
from stampede.dialects.stomp import StompAck, StompDialect, StompOptions
from tests.dialects.load import agree_on_latency, carry, survive_a_restart, survive_a_storm
from tests.dialects.programs import PROGRAMS, measure_latencies
from tests.stampede.fixtures import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dialects.fixtures import StartReal
    from tests.dialects.real_server import RealServer
    from tests.stampede.fixtures import Locust

DIALECT = "stomp"


def test_it_carries_a_load_without_a_lost_delivery(locust: Callable[..., Locust], rabbitmq: RealServer) -> None:
    carry(locust, rabbitmq, "--dialect", DIALECT)
    rabbitmq.wait_for_counts(clients=0, members=0)


def test_users_come_back_after_a_storm(rabbitmq: RealServer) -> None:
    survive_a_storm(rabbitmq, DIALECT)


def test_users_come_back_to_a_restarted_server(start_real: StartReal) -> None:
    survive_a_restart(start_real("rabbitmq"), DIALECT)


def test_the_latency_is_that_of_an_independent_client(rabbitmq: RealServer) -> None:
    (client,) = PROGRAMS["rabbitmq"].clients.values()
    flags = ("--texts", "100", "--interval", "0.02")
    agree_on_latency(rabbitmq, DIALECT, lambda: float(measure_latencies(rabbitmq, client, *flags)["p10_ms"]))


def test_messages_are_acknowledged_on_request(rabbitmq: RealServer) -> None:
    dialect = StompDialect(StompOptions(login="guest", passcode="guest", ack=StompAck(say=True)))
    with LoadGenerator(rabbitmq.url, dialect=dialect) as generator:
        ann, _ = generator.join("acknowledged", users=2)
        for _ in range(20):
            ann.say()
        assert generator.drain(timeout=TIMEOUT)
        assert generator.wait_until(lambda: generator.latency_of("ack").count == 20, TIMEOUT)
        assert generator.ledger.received == 40, "the sender receives its own messages"


def test_heartbeats_keep_the_connection(rabbitmq: RealServer) -> None:
    dialect = StompDialect(StompOptions(heartbeat=1))
    with LoadGenerator(rabbitmq.url, dialect=dialect) as generator:
        (client,) = generator.join("idle", users=1)
        # RabbitMQ closes a connection that is silent for a few heartbeats.
        assert not generator.wait_until(lambda: not client.is_connected, timeout=8)
        assert not generator.failures


def test_refusals_are_reported_in_one_line(start_real: StartReal) -> None:
    server = start_real("rabbitmq", "--refuse-room", "closed")
    server.expects_problems = True
    wrong = StompDialect(StompOptions(login="guest", passcode="wrong"))
    with LoadGenerator(server.url, dialect=wrong) as generator, pytest.raises(StampedeError) as refused:
        generator.join("open")
    assert "refused: Bad CONNECT: Access refused for user 'guest'" in str(refused.value)
    with LoadGenerator(server.url, dialect=DIALECT) as generator, pytest.raises(StampedeError) as refused:
        generator.join("a/b")
    assert "error: Invalid destination" in str(refused.value)
    with LoadGenerator(server.url, dialect=DIALECT) as generator, pytest.raises(StampedeError) as refused:
        generator.join("closed")
    # RabbitMQ may close the connection before its error frame is sent.
    assert any(text in str(refused.value) for text in ("error: access_refused", "STOMP died"))
