"""The dialect signalr against a real hub, with JSON in binary frames or, as ASP.NET Core sends it, in text frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede import LoadGenerator
from stampede.dialects.signalr import SignalRDialect
from tests.dialects import load
from tests.dialects.programs import FILES, PROGRAMS, measure_latencies
from tests.stampede.fixtures import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dialects.fixtures import StartReal
    from tests.stampede.fixtures import Locust

pytestmark = pytest.mark.filterwarnings("ignore:The load generator was the limit")  # a slow machine fails no test

ACKNOWLEDGED = ("--dialect", f"{FILES}/signalr-acknowledged.toml", "--token", "secret")
SERVERS = pytest.mark.parametrize("name", ["signalr", "signalr-text"])
CLIENTS = [(name, client) for name in ("signalr", "signalr-text") for client in PROGRAMS[name].clients]


@SERVERS
@pytest.mark.parametrize("flags", [(), ("--no-echo",)], ids=["with-echo", "without-echo"])
def test_a_hundred_users_receive_every_delivery(
    name: str, flags: tuple[str, ...], start_real: StartReal, locust: Callable[..., Locust]
) -> None:
    server = start_real(name, "--ping-seconds", "2", *flags)
    seconds = load.VARIANT_SECONDS if flags else load.RUN_SECONDS
    ended = load.carry(locust, server, "--dialect", "signalr", run=seconds)
    load.agree_on_counts(server, ended, echoes="--no-echo" not in flags)


@SERVERS
def test_with_acknowledgements_a_token_and_an_echo(
    name: str, start_real: StartReal, locust: Callable[..., Locust]
) -> None:
    server = start_real(name, "--token", "secret")
    ended = load.carry(locust, server, *ACKNOWLEDGED, run=load.VARIANT_SECONDS)
    load.agree_on_counts(server, ended, echoes=True)
    assert ended.own_requests()["ack"] == (ended.ledger()["sent"], 0)


def test_dropped_users_come_back(start_real: StartReal) -> None:
    load.survive_a_storm(start_real("signalr", "--no-echo"), "signalr")


def test_users_come_back_to_a_restarted_server(start_real: StartReal) -> None:
    load.survive_a_restart(start_real("signalr", "--no-echo"), "signalr")


@pytest.mark.parametrize(("name", "client"), CLIENTS)
def test_an_independent_client_measures_the_same_latency(name: str, client: str, start_real: StartReal) -> None:
    server = start_real(name, "--no-echo")
    flags = ("--texts", str(load.LATENCY_TEXTS), "--interval", str(load.LATENCY_INTERVAL))
    run = PROGRAMS[name].clients[client]
    load.agree_on_latency(server, "signalr", lambda: float(measure_latencies(server, run, *flags)["p10_ms"]))


class Silent(SignalRDialect):
    """A client that sends no pings."""

    keepalive_seconds = None


class Pinging(SignalRDialect):
    """A client that sends pings twice a second."""

    keepalive_seconds = 0.5


def test_a_silent_user_is_kept_by_its_pings(start_real: StartReal) -> None:
    server = start_real("signalr", "--timeout-seconds", "5")
    server.expects_problems = True  # a warning about the client that sends no pings
    with (
        LoadGenerator(server.url, dialect=Pinging()) as pinging,
        LoadGenerator(server.url, dialect=Silent()) as silent,
    ):
        pinging.join("red")
        silent.join("blue")
        assert silent.wait_until(lambda: bool(silent.failures.get("connect")), TIMEOUT)
        assert not pinging.failures.get("connect")
