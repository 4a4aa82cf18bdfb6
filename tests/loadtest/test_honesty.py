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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.loadtest.conftest import Ended, Locust

FLAGS = ("ChattingUser", "-u", "40", "-r", "40", "-t", "6s", "--room-size", "10", "--message-rate", "5")


class Odd:
    """A running odd server; `counts` once it has ended."""

    def __init__(self, faults: dict[str, Any]) -> None:
        script = Path(__file__).with_name("odd_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(faults)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.counts: dict[str, int] = {}

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


def latency(ended: Ended, clock: str, quantile: str) -> float:
    """Return a percentile in milliseconds."""
    row = next(line for line in ended.out.splitlines() if clock in line)
    return float(re.findall(rf"{re.escape(quantile)} ([\d.]+) ms", row)[0])


def test_each_dropped_doubled_and_swapped_delivery_is_reported_as_just_that(locust: Callable[..., Locust]) -> None:
    with odd_server(drop=97, double=151, swap=211) as server:
        ended = locust("--headless", "--host", server.url, *FLAGS).wait()
        server.stop()
    ledger, truth = ended.ledger(), server.counts
    assert ledger["lost"] == truth["dropped"] > 0
    assert ledger["received"] == truth["delivered"]
    assert ledger["expected"] == truth["delivered"] + truth["dropped"]
    assert ledger["duplicated"] == truth["doubled"] > 0
    assert ledger["reordered"] == truth["swapped"] > 0
    assert ended.requests()["deliver"] == (ledger["expected"], ledger["lost"])
    assert ended.code == 1


@pytest.mark.parametrize("style", ["spaced", "reversed", "escaped"])
def test_json_may_be_written_in_any_style(locust: Callable[..., Locust], style: str) -> None:
    with odd_server(style=style) as server:
        ended = locust("--headless", "--host", server.url, *FLAGS).wait()
        server.stop()
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] == server.counts["delivered"] > 0
    assert (ledger["lost"], ledger["duplicated"], ended.code) == (0, 0, 0)


def test_a_known_delay_is_found_to_the_millisecond_or_so(locust: Callable[..., Locust]) -> None:
    with odd_server(delay=0.04) as server:
        ended = locust("--headless", "--host", server.url, *FLAGS).wait()
    assert 40 <= latency(ended, "from actual send", "p50") < 60  # 1 ms on a quiet machine
    assert ended.ledger()["lost"] == 0


def test_a_stall_shows_in_full_from_the_intended_send(locust: Callable[..., Locust]) -> None:
    with odd_server(stall=2) as server:
        ended = locust("--headless", "--host", server.url, *FLAGS).wait()
    assert latency(ended, "from intended send", "p99") > 1500
    assert ended.ledger()["lost"] == 0
    assert ended.ledger()["received"] == ended.ledger()["expected"]


def test_an_encrypted_server_is_measured_as_well(locust: Callable[..., Locust], certificate: Path) -> None:
    with odd_server(certificate=str(certificate)) as server:
        ended = locust("--headless", "--host", server.url, "--insecure", *FLAGS).wait()
        refused = locust("--headless", "--host", server.url, *FLAGS).wait()
        server.stop()
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] == server.counts["delivered"] > 0
    assert (ledger["lost"], ended.code) == (0, 0)
    assert refused.code == 2
    assert f"cannot connect to {server.url}/: certificate not trusted" in refused.log
