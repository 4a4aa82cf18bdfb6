"""The dialect socketio against real servers of Socket.IO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dialects import load
from tests.dialects.programs import FILES, PROGRAMS, measure_latencies

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dialects.fixtures import StartReal
    from tests.stampede.fixtures import Locust

ACKNOWLEDGED = ("--dialect", f"{FILES}/socketio-acknowledged.toml", "--token", "secret")
pytestmark = pytest.mark.filterwarnings("ignore:The load generator was the limit")  # a slow machine fails no test

SERVERS = pytest.mark.parametrize("name", ["socket.io", "python-socketio"])


@SERVERS
@pytest.mark.parametrize("flags", [(), ("--echo",)], ids=["without-echo", "with-echo"])
def test_a_hundred_users_receive_every_delivery(
    name: str, flags: tuple[str, ...], start_real: StartReal, locust: Callable[..., Locust]
) -> None:
    server = start_real(name, "--ping-seconds", "2", *flags)  # a client that does not answer pings is dropped
    seconds = load.VARIANT_SECONDS if flags else load.RUN_SECONDS
    ended = load.carry(locust, server, "--dialect", "socketio", run=seconds)
    load.agree_on_counts(server, ended, echoes="--echo" in flags)


@SERVERS
def test_with_acknowledgements_a_token_and_an_echo(
    name: str, start_real: StartReal, locust: Callable[..., Locust]
) -> None:
    server = start_real(name, "--echo", "--token", "secret")
    ended = load.carry(locust, server, *ACKNOWLEDGED, run=load.VARIANT_SECONDS)
    load.agree_on_counts(server, ended, echoes=True)
    assert ended.own_requests()["ack"] == (ended.ledger()["sent"], 0)


@SERVERS
def test_dropped_users_come_back(name: str, start_real: StartReal) -> None:
    server = start_real(name)
    load.survive_a_storm(server, "socketio")


@SERVERS
def test_users_come_back_to_a_restarted_server(name: str, start_real: StartReal) -> None:
    server = start_real(name)
    load.survive_a_restart(server, "socketio")


@SERVERS
@pytest.mark.parametrize("client", PROGRAMS["socket.io"].clients)
def test_an_independent_client_measures_the_same_latency(name: str, client: str, start_real: StartReal) -> None:
    server = start_real(name)
    flags = ("--texts", str(load.LATENCY_TEXTS), "--interval", str(load.LATENCY_INTERVAL))
    run = PROGRAMS[name].clients[client]
    load.agree_on_latency(server, "socketio", lambda: float(measure_latencies(server, run, *flags)["p10_ms"]))
