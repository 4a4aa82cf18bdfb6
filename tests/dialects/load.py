"""The load that each dialect must carry on a real server without a lost delivery, with storms and a killed server."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from stampede import LoadGenerator
from tests.stampede.fixtures import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede import ChatClient
    from tests.stampede.fixtures import FinishedRun, Locust

USERS = 100
ROOM_SIZE = 10
RUN_SECONDS = 20
VARIANT_SECONDS = 5
"""Length of a run that differs from another one only in options of the server or the dialect."""
STORM_USERS = 40
CHECK_USERS = 2
LATENCY_TEXTS = 100
LATENCY_INTERVAL = 0.02
LATENCY_TRIES = 5
NEAR_MS = 1.0
NEAR_SHARE = 0.1


class Server(Protocol):
    """A real server."""

    url: str

    def kill(self) -> None:
        """Kill it."""

    def restart(self) -> None:
        """Start it again on its port."""


class CountingServer(Protocol):
    """A real server that counts."""

    def wait_for_counts(self, **expected: int) -> None:
        """Wait until its counts have these values."""

    def counts(self) -> dict[str, int]:
        """Return its counts."""


def carry(locust: Callable[..., Locust], server: Server, *flags: str, run: int = RUN_SECONDS) -> FinishedRun:
    """Let 100 users chat in rooms of ten for 20 s by `locust -f loadtest`; check that each delivery arrived once."""
    load = ("-u", str(USERS), "-r", str(USERS), "--room-size", str(ROOM_SIZE), "-t", f"{run}s")
    ended = locust("--headless", "--host", server.url, *load, *flags, "ChattingUser").wait()
    assert ended.ended_with(0), ended.log + ended.out
    ledger = ended.ledger()
    assert ledger["expected"] == ledger["received"] > USERS, ended.out
    assert {ledger[name] for name in ("lost", "duplicated", "reordered")} == {0}, ended.out
    assert ended.failed() == [], ended.log
    return ended


def agree_on_counts(server: CountingServer, ended: FinishedRun, *, echoes: bool) -> None:
    """Check that all users have left, and that the server counted what the ledger counted.

    Two users exchange messages before a run, and in each process again if that must discover the echo.
    """
    server.wait_for_counts(clients=0, members=0)
    counts, ledger = server.counts(), ended.ledger()
    of_checks = counts["messages"] - ledger["sent"]
    assert of_checks in (CHECK_USERS, 2 * CHECK_USERS), counts
    receivers = CHECK_USERS if echoes else CHECK_USERS - 1
    assert counts["deliveries"] == ledger["expected"] + of_checks * receivers


def survive_a_storm(server: Server, dialect: str) -> None:
    """Drop half of the users at once: all come back and receive again, and nothing is lost."""
    with LoadGenerator(server.url, dialect=dialect) as generator:
        clients = _join_rooms(generator)
        talk = _Talk(clients)
        with talk:
            outcome = generator.storm(share=0.5, timeout=TIMEOUT)
        assert (outcome.dropped, outcome.resynced) == (STORM_USERS // 2, STORM_USERS // 2)
        assert generator.wait_until(lambda: all(client.is_connected for client in clients), TIMEOUT)
        assert generator.drain(timeout=TIMEOUT), generator.ledger
    assert generator.ledger.received == generator.ledger.expected > 0
    assert not generator.ledger.duplicated
    assert not generator.ledger.reordered


def survive_a_restart(server: Server, dialect: str) -> None:
    """Kill the server during the chat: users come back to the next one, and every owed delivery is accounted for."""
    with LoadGenerator(server.url, dialect=dialect) as generator:
        clients = _join_rooms(generator)
        with _Talk(clients):
            assert generator.wait_until(lambda: clients[0].ledger.received > STORM_USERS, TIMEOUT)
            server.kill()
            assert generator.wait_until(lambda: not any(client.is_connected for client in clients), TIMEOUT)
            server.restart()
            assert generator.wait_until(lambda: all(client.is_connected for client in clients), TIMEOUT)
            received = generator.ledger.received
            assert generator.wait_until(lambda: clients[0].ledger.received > received + STORM_USERS, TIMEOUT)
        generator.drain(timeout=TIMEOUT)
    ledger = generator.ledger
    assert ledger.expected == ledger.received + ledger.lost
    assert not ledger.in_flight
    assert sum(generator.failures["connect"].values()) >= STORM_USERS
    assert not ledger.duplicated


def agree_on_latency(server: Server, dialect: str, measure: Callable[[], float]) -> None:
    """Compare the latency with that of an independent client, which measures at the same time.

    The tenth percentiles agree within 1 ms or 10 %. On a busy machine the longer ones show how long each process waits
    for the CPU. If one of the two is delayed by chance all the same, measure again: a systematic difference fails all
    tries.

    Args:
        server: the server.
        dialect: of the server.
        measure: runs the independent client; returns its tenth percentile in milliseconds.
    """
    found: list[tuple[float, float]] = []
    while len(found) < LATENCY_TRIES:
        ours, theirs = _both_latencies(server, dialect, measure)
        found.append((ours, theirs))
        if abs(ours - theirs) < max(NEAR_MS, NEAR_SHARE * theirs):
            return
    raise AssertionError(f"tenth percentiles in ms, ours and theirs: {found}")


def _both_latencies(server: Server, dialect: str, measure: Callable[[], float]) -> tuple[float, float]:
    """Return the tenth percentiles of both, in milliseconds."""
    with LoadGenerator(server.url, dialect=dialect) as generator:
        clients = generator.join("latency", users=2)
        with _Talk(clients[:1], LATENCY_INTERVAL):
            theirs = measure()
            assert generator.wait_until(lambda: clients[1].ledger.received >= LATENCY_TEXTS, TIMEOUT)
        generator.drain(timeout=TIMEOUT)
    return 1000 * generator.latency.quantile(0.1), theirs


def _join_rooms(generator: LoadGenerator) -> list[ChatClient]:
    rooms = range(STORM_USERS // ROOM_SIZE)
    return [client for number in rooms for client in generator.join(f"storm{number}", users=ROOM_SIZE)]


class _Talk:
    """Lets clients send in turn, from a thread, while the block runs."""

    def __init__(self, clients: list[ChatClient], interval: float = 0.005) -> None:
        self._clients = clients
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        number = 0
        while not self._ended.is_set():
            self._clients[number % len(self._clients)].say()
            number += 1
            time.sleep(self._interval)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(TIMEOUT)
