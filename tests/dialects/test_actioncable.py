"""The dialect actioncable against Action Cable of Rails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede import LoadGenerator, StampedeError
from tests.dialects.load import agree_on_latency, carry, survive_a_restart, survive_a_storm
from tests.dialects.programs import PROGRAMS, measure_latencies

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dialects.fixtures import StartReal
    from tests.stampede.fixtures import Locust

DIALECT = "actioncable"


def test_it_carries_a_load_without_a_lost_delivery(locust: Callable[..., Locust], start_real: StartReal) -> None:
    server = start_real("action-cable", "--in-order")
    carry(locust, server, "--dialect", DIALECT)
    server.wait_for_counts(clients=0, members=0)


def test_users_come_back_after_a_storm(start_real: StartReal) -> None:
    server = start_real("action-cable", "--in-order")
    server.expects_problems = True  # it logs a message that it handles after the connection was reset
    survive_a_storm(server, DIALECT)


def test_users_come_back_to_a_restarted_server(start_real: StartReal) -> None:
    survive_a_restart(start_real("action-cable"), DIALECT)


def test_the_latency_is_that_of_an_independent_client(start_real: StartReal) -> None:
    server = start_real("action-cable")
    (client,) = PROGRAMS["action-cable"].clients.values()
    flags = ("--texts", "100", "--interval", "0.02")
    agree_on_latency(server, DIALECT, lambda: float(measure_latencies(server, client, *flags)["p10_ms"]))


def test_refusals_are_reported_in_one_line(start_real: StartReal) -> None:
    server = start_real("action-cable", "--token", "secret", "--refuse-room", "closed")
    server.expects_problems = True
    with LoadGenerator(server.url, dialect=DIALECT) as generator, pytest.raises(StampedeError, match="unauthorized"):
        generator.join("open")
    url = f"{server.url}/cable?token=secret"
    with LoadGenerator(url, dialect=DIALECT) as generator, pytest.raises(StampedeError, match="subscription rejected"):
        generator.join("closed")
