"""The preset centrifugo against a double of Centrifugo, on which the protocol's own client is measured, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede import LoadGenerator, StampedeError
from tests.dialects.load import agree_on_counts, agree_on_latency, carry, survive_a_restart, survive_a_storm
from tests.dialects.programs import PROGRAMS, measure_latencies

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dialects.fixtures import StartReal
    from tests.stampede.fixtures import Locust

DIALECT = "centrifugo"


def test_it_carries_a_load_without_a_lost_delivery(locust: Callable[..., Locust], start_real: StartReal) -> None:
    server = start_real("centrifugo", "--ping-seconds", "2")  # a client that does not answer pings is dropped
    ended = carry(locust, server, "--dialect", DIALECT)
    agree_on_counts(server, ended, echoes=True)
    assert ended.own_requests()["ack"] == (ended.ledger()["sent"], 0)


def test_users_come_back_after_a_storm(start_real: StartReal) -> None:
    survive_a_storm(start_real("centrifugo"), DIALECT)


def test_users_come_back_to_a_restarted_server(start_real: StartReal) -> None:
    survive_a_restart(start_real("centrifugo"), DIALECT)


def test_the_latency_is_that_of_an_independent_client(start_real: StartReal) -> None:
    server = start_real("centrifugo")
    (client,) = PROGRAMS["centrifugo"].clients.values()
    flags = ("--texts", "100", "--interval", "0.02")
    agree_on_latency(server, DIALECT, lambda: float(measure_latencies(server, client, *flags)["p10_ms"]))


def test_refusals_are_reported_in_one_line(start_real: StartReal) -> None:
    server = start_real("centrifugo", "--token", "secret", "--refuse-room", "closed")
    with (
        pytest.raises(StampedeError, match="3500 invalid token"),
        LoadGenerator(server.url, dialect=DIALECT) as generator,
    ):
        generator.join("open")
    with LoadGenerator(server.url, dialect=DIALECT, token="secret") as generator:
        with pytest.raises(StampedeError, match="permission denied"):
            generator.join("closed")
        generator.join("open")
