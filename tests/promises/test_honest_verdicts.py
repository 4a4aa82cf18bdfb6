"""What the load test reports about servers whose faults are known to the delivery."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.stampede.fixtures import latency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stampede.fixtures import Locust, WebLocust

FLAGS = ("ChattingUser", "-u", "40", "-r", "40", "-t", "5s", "--room-size", "10", "--message-rate", "5")


class Odd:
    """A running odd server; `counts` once it has ended."""

    def __init__(self, faults: dict[str, Any]) -> None:
        script = Path(__file__).with_name("odd_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(faults)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.counts: dict[str, Any] = {}

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        self.counts = json.loads(out)


@contextmanager
def odd_server(**faults: Any) -> Iterator[Odd]:
    server = Odd(faults)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


@pytest.mark.parametrize(
    "faults",
    [{"drop": 97, "double": 151, "swap": 211}, {"drop": 1000, "double": 1500, "swap": 1700, "delay": 0.04}],
    ids=["many", "few and late"],
)
def test_each_dropped_doubled_and_swapped_delivery_is_reported_as_just_that(
    locust: Callable[..., Locust], faults: dict[str, float]
) -> None:
    with odd_server(**faults) as server:
        # The rarer a fault, the longer until it has happened.
        ended = locust("--headless", "--host", server.url, *FLAGS, *(("-t", "8s") if "delay" in faults else ())).wait()
        server.stop()
    ledger, truth = ended.ledger(), server.counts
    assert ledger["lost"] == truth["dropped"] > 0
    assert ledger["received"] == truth["delivered"]
    assert ledger["expected"] == truth["delivered"] + truth["dropped"]
    assert ledger["duplicated"] == truth["doubled"] > 0
    assert ledger["reordered"] == truth["swapped"] > 0
    assert ended.requests()["deliver"] == (ledger["expected"], ledger["lost"])
    assert ended.ended_with(1)
    assert latency(ended.out, "from actual send", "p50") >= truth["delayed"] * 0.98


def test_a_known_delay_is_never_shortened_and_found_to_the_millisecond(locust: Callable[..., Locust]) -> None:
    """By the least of many deliveries: on a busy machine others wait elsewhere, too, which no clock can tell apart.

    A slow machine can lengthen even the least one, so several runs are allowed for that; it shortens none.
    """
    few = ("ChattingUser", "-u", "4", "-r", "4", "-t", "3s", "--room-size", "4", "--message-rate", "10")
    beyond: list[float] = []
    while not beyond or beyond[-1] > 1:
        assert len(beyond) < 6, f"never within 1 ms of the delay: {beyond}"
        with odd_server(delay=0.04) as server:
            ended = locust("--headless", "--host", server.url, *few).wait()
            server.stop()
        (least,) = re.findall(r"^WS +deliver +\S+ +\S+ +\| +\d+ +(\d+) +\d+", ended.log, re.MULTILINE)[-1:]
        beyond.append(int(least) - server.counts["least"])
        assert beyond[-1] >= -0.51, "the table rounds to whole milliseconds"
        assert latency(ended.out, "from actual send", "p50") >= server.counts["delayed"] * 0.98
        assert latency(ended.out, "from intended send", "p50") >= server.counts["delayed"] * 0.98


@pytest.mark.parametrize("style", ["spaced", "reversed", "escaped"])
def test_json_may_be_written_in_any_style(locust: Callable[..., Locust], style: str) -> None:
    with odd_server(style=style) as server:
        ended = locust("--headless", "--host", server.url, *FLAGS).wait()
        server.stop()
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] == server.counts["delivered"] > 0
    assert (ledger["lost"], ledger["duplicated"]) == (0, 0)
    assert ended.ended_with(0)


def test_a_stall_shows_in_full_on_both_clocks_where_it_kept_nothing_from_being_sent(
    locust: Callable[..., Locust],
) -> None:
    """Short messages fit into what the peer's system keeps for it: they were sent, and nobody read them."""
    with odd_server(stall=2) as server:
        ended = locust("--headless", "--host", server.url, *FLAGS).wait()
    intended, sent = (latency(ended.out, f"from {clock} send", "p99") for clock in ("intended", "actual"))
    assert intended >= sent > 1500
    assert ended.ledger()["lost"] == 0
    assert ended.ledger()["received"] == ended.ledger()["expected"]


def test_a_stall_that_holds_back_what_is_sent_shows_less_from_the_actual_send(locust: Callable[..., Locust]) -> None:
    """Long messages do not fit: they are sent when the peer reads again, and are timed in full from when they were due.

    What the stall finds under way, one message of a connection, was sent before it and waits in full on both clocks.
    """
    flags = ("ChattingUser", "-u", "4", "-r", "4", "-t", "14s", "--room-size", "4", "--message-rate", "20")
    with odd_server(stall=2, window=2048) as server:
        ended = locust("--headless", "--host", server.url, *flags, "--message-bytes", "8192").wait()
    print(ended.out)
    assert latency(ended.out, "from intended send", "p99") > 1500
    # Not by their p99: two short stalls of a busy machine would be that of the sent clock.
    intended, sent = (latency(ended.out, f"from {clock} send", "p90") for clock in ("intended", "actual"))
    assert intended > 400
    assert sent < intended / 2
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"]
    assert int(re.findall(r"(\d+) sent messages were held back", ended.out)[0]) > 50
    assert ended.ended_with(0)  # the peer was slow, not the generator: the run is valid


def test_an_encrypted_server_is_measured_as_well(locust: Callable[..., Locust], certificate: Path) -> None:
    with odd_server(certificate=str(certificate)) as server:
        ended = locust("--headless", "--host", server.url, "--insecure", *FLAGS).wait()
        own = ("--ca-file", f"{certificate}.crt")
        trusted = locust("--headless", "--host", server.url, *own, *FLAGS[:-6], "-t", "1s").wait()
        refused = locust("--headless", "--host", server.url, *FLAGS).wait()
        server.stop()
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] > 0
    assert ledger["lost"] == 0
    assert ended.ended_with(0)
    assert refused.code == 2
    assert trusted.ended_with(0)
    assert f"cannot connect to {server.url}/: certificate not trusted" in refused.log


def test_nobody_comes_back_before_the_time_it_was_told(web_locust: Callable[..., WebLocust]) -> None:
    """By the server's own clock. Who ignores it would be back within half a second: that is the own policy."""
    users, told = 12, [800, 1600, 3200]
    with odd_server(restart=told) as server:
        web = web_locust("--host", server.url, "--room-size", "4", "--message-rate", "5", "ChattingUser")
        web.post("/swarm", user_count=users, spawn_rate=users)
        web.until(lambda now: now["ready"] == users and now["requests"]["WS join"]["count"] == 2 * users)
        server.stop()
        web.locust.process.send_signal(signal.SIGTERM)
        web.locust.wait()
    returned = server.counts["returned"]
    assert sorted(ms for ms, _ in returned) == sorted(told * (users // len(told)))
    assert all(after >= ms - TIMERS_MS for ms, after in returned), returned
    first = [min(after for ms, after in returned if ms == one) for one in told]
    assert first == sorted(first)


TIMERS_MS = 50  # a timer of the event loop counts from the beginning of the callback that starts it
