"""Each real server starts, carries messages between independent clients, and counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dialects.programs import PROGRAMS, measure_latencies

if TYPE_CHECKING:
    from tests.dialects.fixtures import StartReal

TEXTS = 5
RECEIVERS = 3
PAIRS = [(server, client) for server, program in PROGRAMS.items() for client in program.clients]


@pytest.mark.parametrize(("name", "client"), PAIRS)
def test_an_independent_client_receives_what_the_server_counts(name: str, client: str, start_real: StartReal) -> None:
    program = PROGRAMS[name]
    server = start_real(name)
    assert set(server.counts().values()) == {0}
    flags = ("--texts", str(TEXTS), "--receivers", str(RECEIVERS), "--interval", "0.01")
    measured = measure_latencies(server, program.clients[client], *flags)
    assert (measured["sent"], measured["received"]) == (TEXTS, TEXTS * RECEIVERS)
    assert 0 < measured["p10_ms"] <= measured["median_ms"] <= measured["p95_ms"]
    deliveries = TEXTS * (RECEIVERS + program.echoes)
    server.wait_for_counts(clients=0, members=0, messages=TEXTS, deliveries=deliveries)


@pytest.mark.parametrize("name", [name for name, program in PROGRAMS.items() if program.clients])
def test_a_killed_server_restarts_on_its_port(name: str, start_real: StartReal) -> None:
    program = PROGRAMS[name]
    server = start_real(name)
    url = server.url
    client = next(iter(program.clients.values()))
    for _ in range(2):
        assert measure_latencies(server, client, "--texts", "1")["received"] == 1
        server.kill()
        server.restart()
        assert server.url == url
        assert server.counts()["messages"] == 0


def test_a_warning_in_the_log_fails_the_test(start_real: StartReal) -> None:
    server = start_real("socket.io")
    server.close()
    with server.log_file.open("a") as log:
        log.write("(node:1) DeprecationWarning: old\n")
    with pytest.raises(AssertionError, match="DeprecationWarning"):
        server.close()
    server.expects_problems = True


def test_a_server_that_does_not_start_is_reported_with_its_output(start_real: StartReal) -> None:
    with pytest.raises(AssertionError, match="Unknown option"):
        start_real("socket.io", "--no-such-flag")
