"""The dialect mqtt against Mosquitto."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede import LoadGenerator, StampedeError
from stampede.dialects.mqtt import MqttDialect, MqttOptions
from tests.dialects.load import agree_on_latency, carry, survive_a_restart, survive_a_storm
from tests.dialects.programs import PROGRAMS, measure_latencies
from tests.stampede.fixtures import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dialects.fixtures import StartReal
    from tests.stampede.fixtures import Locust

DIALECT = "mqtt"


def test_it_carries_a_load_without_a_lost_delivery(locust: Callable[..., Locust], start_real: StartReal) -> None:
    server = start_real("mosquitto")
    carry(locust, server, "--dialect", DIALECT)
    server.wait_for_counts(clients=0, members=0)


def test_users_come_back_after_a_storm(start_real: StartReal) -> None:
    survive_a_storm(start_real("mosquitto"), DIALECT)


def test_users_come_back_to_a_restarted_server(start_real: StartReal) -> None:
    survive_a_restart(start_real("mosquitto"), DIALECT)


def test_the_latency_is_that_of_an_independent_client(start_real: StartReal) -> None:
    server = start_real("mosquitto")
    (client,) = PROGRAMS["mosquitto"].clients.values()
    flags = ("--texts", "100", "--interval", "0.02")
    agree_on_latency(server, DIALECT, lambda: float(measure_latencies(server, client, *flags)["p10_ms"]))


def test_messages_with_qos_1_are_acknowledged_both_ways(start_real: StartReal) -> None:
    server = start_real("mosquitto")
    with LoadGenerator(server.url, dialect=MqttDialect(MqttOptions(qos=1))) as generator:
        ann, _ = generator.join("acknowledged", users=2)
        # More than Mosquitto sends without an acknowledgement, which are 20.
        for _ in range(100):
            ann.say()
        assert generator.drain(timeout=TIMEOUT)
        assert generator.wait_until(lambda: generator.latency_of("ack").count == 100, TIMEOUT)
        assert generator.ledger.received == 200, "the sender receives its own messages"


def test_pings_keep_the_connection(start_real: StartReal) -> None:
    server = start_real("mosquitto")
    with LoadGenerator(server.url, dialect=MqttDialect(MqttOptions(keep_alive=2))) as generator:
        (client,) = generator.join("idle", users=1)
        # Mosquitto closes a connection after one and a half times that silence.
        assert not generator.wait_until(lambda: not client.is_connected, timeout=8)
        assert not generator.failures


def test_refusals_are_reported_in_one_line(start_real: StartReal) -> None:
    server = start_real("mosquitto", "--token", "secret")
    for options, reason in (
        (MqttOptions(username="guest", password="wrong"), "refused: not authorized"),
        (MqttOptions(), "refused: not authorized"),
    ):
        with (
            LoadGenerator(server.url, dialect=MqttDialect(options)) as generator,
            pytest.raises(StampedeError, match=reason),
        ):
            generator.join("open")
    server = start_real("mosquitto", "--refuse-room", "chat/closed")
    with (
        LoadGenerator(server.url, dialect=DIALECT) as generator,
        pytest.raises(StampedeError, match="subscription refused"),
    ):
        generator.join("closed")
