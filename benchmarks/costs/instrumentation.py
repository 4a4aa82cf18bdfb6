"""Measure what metrics cost: the CPU of counting, and the event loop time of a scrape.

The CPU per delivery of the server is compared with the same server without counters, under the same load, in short
alternating turns. The figure is the median of the turns with its 95 % interval. The server itself measures the duration
of a scrape, with many connections in many rooms and the headers that Prometheus sends.
"""

from __future__ import annotations

import math
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.command import command_parser, with_exit_code
from benchmarks.http_client import urlopen
from benchmarks.interleaving import cpu_per_delivery, interleave
from benchmarks.load.connect_storm import raise_open_file_limit
from benchmarks.load.driver import ChatLoad, ClientPool
from benchmarks.processes import pinned, running, separate_cpus, stampede_command

if TYPE_CHECKING:
    from collections.abc import Sequence


LOADS: Final = (ChatLoad(200, 2, 2000), ChatLoad(200, 100, 8000))
"""200 000 deliveries per second in large rooms, and the worst case: one recipient for each message."""

SCRAPED_LOAD: Final = ChatLoad(10_000, 1000, 1)
SCRAPES: Final = 100
GOAL_SECONDS: Final = 0.005

_NAME: Final = "chat_scrape_duration_seconds"
_ACCEPTS: Final = {
    "text": "text/plain",
    "OpenMetrics": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
}


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Event loop time of scrapes in one format: the mean in seconds, and how many took longer than 5 ms."""

    format: str
    mean: float
    over_goal: int
    count: int


def cost_of_counting(load: ChatLoad, seconds: float, turns: int) -> list[float]:
    """Return the fraction that counting adds to the CPU of a delivery, for each turn, ascending.

    Both servers run all the time on one core and are loaded in alternating turns of a fraction of a second. So other
    work on the machine affects both alike.

    Raises:
        BenchmarkError: a server did not start, or delivered nothing.
        OSError: a server refused or closed connections.
    """
    cpus = separate_cpus() or (None, None)
    with ExitStack() as stack:
        uploads = stack.enter_context(tempfile.TemporaryDirectory())
        command = stampede_command("--upload-dir", uploads, "--log-level", "error")
        bare = [word if word != "server" else "benchmarks.costs.server_without_metrics" for word in command]
        servers = [stack.enter_context(running(each, cpus[0])) for each in (command, bare)]
        stack.enter_context(pinned(cpus[1]))
        measures = [
            partial(cpu_per_delivery, stack.enter_context(ClientPool(server.url, load)), server) for server in servers
        ]
        return sorted(counted / uncounted - 1 for counted, uncounted in interleave(measures, seconds, turns))


def interval(ascending: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the median, by order statistics (Conover, 1999, section 3.2)."""
    half, spread = len(ascending) / 2, 0.98 * math.sqrt(len(ascending))
    low, high = math.floor(half - spread), math.ceil(half + spread)
    return ascending[max(low, 0)], ascending[min(high, len(ascending) - 1)]


def cost_of_scrapes(load: ChatLoad, scrapes: int) -> list[Scrapes]:
    """Return the cost of scrapes for each format, of a server under a load.

    Raises:
        BenchmarkError: the server did not start.
        OSError: it refused connections.
    """
    raise_open_file_limit(load.clients)
    limits = ("--log-level", "error", "--handshake-rate", "0", "--heartbeat-interval", "0", "--heartbeat-timeout", "0")
    with (
        tempfile.TemporaryDirectory() as uploads,
        running(stampede_command("--upload-dir", uploads, *limits)) as server,
        ClientPool(server.url, load),
    ):
        url = server.url.replace("ws://", "http://") + "/metrics"
        return [_scrape(url, name, scrapes) for name in _ACCEPTS]


def _scrape(url: str, name: str, scrapes: int) -> Scrapes:
    count, total, within = _read(url)
    for _ in range(scrapes):
        headers = {"Accept": _ACCEPTS[name], "Accept-Encoding": "gzip"}
        with urlopen(urllib.request.Request(url, headers=headers)) as answer:  # noqa: S310 - our own server
            answer.read()
    after = _read(url)
    # A page counts only the scrapes before it, so the difference includes the first reading.
    count, total, within = after[0] - count, after[1] - total, after[2] - within
    return Scrapes(name, total / count, round(count - within), round(count))


def _read(url: str) -> tuple[float, float, float]:
    """Return the number of scrapes so far, their total seconds, and how many were within the goal."""
    with urlopen(url) as answer:
        page = answer.read().decode()
    values = {
        sample.name + sample.labels.get("le", ""): sample.value
        for family in text_string_to_metric_families(page)
        if family.name == _NAME
        for sample in family.samples
    }
    return values[f"{_NAME}_count"], values[f"{_NAME}_sum"], values[f"{_NAME}_bucket{GOAL_SECONDS}"]


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print both costs."""
    parser = command_parser("benchmarks.costs.instrumentation", __doc__)
    parser.add_argument("--turns", type=int, default=100, help="turns of each server (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.25, help="length of a turn (%(default)s)")
    options = parser.parse_args(arguments)
    for done in cost_of_scrapes(SCRAPED_LOAD, SCRAPES):
        print(
            f"{SCRAPED_LOAD.clients:,} connections, {SCRAPED_LOAD.rooms:,} rooms: a scrape ({done.format}, gzip) "
            f"holds the event loop for {1000 * done.mean:.2f} ms on average; "
            f"{done.over_goal} of {done.count} for more than {1000 * GOAL_SECONDS:g} ms"
        )
    for load in LOADS:
        costs = cost_of_counting(load, options.seconds, options.turns)
        deliveries = load.rate * (load.clients // load.rooms - 1)
        low, high = interval(costs)
        print(
            f"{deliveries:,} deliveries/s in {load.rooms} rooms: counting adds {median(costs):.1%} to the CPU of a "
            f"delivery (95 % interval {low:.1%} to {high:.1%}, {len(costs)} turns)"
        )


if __name__ == "__main__":
    sys.exit(main(None))
