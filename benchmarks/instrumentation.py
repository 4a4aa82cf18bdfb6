"""What measuring costs: the server beside itself without a single counter, and what one scrape holds up.

Counting is compared as CPU per delivery of the same server under the same load, in short turns; the figure is the
median of the turns, with its 95 % interval. A scrape is measured by the server itself, with many connections in many
rooms, as Prometheus asks for it.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from benchmarks._driver import Herd, Load
from benchmarks._turns import cpu_per_delivery, in_turns
from benchmarks.direct import urlopen
from benchmarks.fanout import pinned, separate_cpus
from benchmarks.peers import PeerError, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Sequence


LOADS: Final = (Load(200, 2, 2000), Load(200, 100, 8000))
"""200 000 deliveries a second to many at a time, and the worst case: each message to one recipient."""

CROWD: Final = Load(10_000, 1000, 1)
SCRAPES: Final = 100
GOAL_SECONDS: Final = 0.005

_NAME: Final = "chat_scrape_duration_seconds"
_ACCEPTS: Final = {
    "text": "text/plain",
    "OpenMetrics": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
}


@dataclass(frozen=True, slots=True)
class Scrapes:
    """How long scrapes of one format held the event loop: the mean in seconds, and how many took longer than 5 ms."""

    format: str
    mean: float
    over_goal: int
    count: int


def cost_of_counting(load: Load, seconds: float, turns: int) -> list[float]:
    """Return what counting adds to the CPU of a delivery, as a part of it, for each turn; ascending.

    Both servers are up all the time, on one core, and are loaded in turns of a fraction of a second: what else happens
    on the machine happens to both.

    Raises:
        PeerError: a server did not start, or delivered nothing.
        OSError: it refused or closed connections.
    """
    cpus = separate_cpus() or (None, None)
    with ExitStack() as stack:
        uploads = stack.enter_context(tempfile.TemporaryDirectory())
        command = stampede_command("--upload-dir", uploads, "--log-level", "error")
        bare = [word if word != "server" else "benchmarks._uncounted" for word in command]
        servers = [stack.enter_context(running(each, cpus[0])) for each in (command, bare)]
        stack.enter_context(pinned(cpus[1]))
        measures = [
            partial(cpu_per_delivery, stack.enter_context(Herd(server.url, load)), server) for server in servers
        ]
        return sorted(counted / uncounted - 1 for counted, uncounted in in_turns(measures, seconds, turns))


def interval(ascending: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the median, by order statistics (Conover, 1999, section 3.2)."""
    half, spread = len(ascending) / 2, 0.98 * math.sqrt(len(ascending))
    low, high = math.floor(half - spread), math.ceil(half + spread)
    return ascending[max(low, 0)], ascending[min(high, len(ascending) - 1)]


def cost_of_scrapes(crowd: Load, scrapes: int) -> list[Scrapes]:
    """Return what scrapes cost a server with a crowd in it, for each format.

    Raises:
        PeerError: the server did not start.
        OSError: it refused connections.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limits = ("--log-level", "error", "--handshake-rate", "0", "--heartbeat-interval", "0", "--heartbeat-timeout", "0")
    with (
        tempfile.TemporaryDirectory() as uploads,
        running(stampede_command("--upload-dir", uploads, *limits)) as server,
        Herd(server.url, crowd),
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
    # The page shows the scrapes before it: the first reading is the one that is counted too much.
    count, total, within = after[0] - count, after[1] - total, after[2] - within
    return Scrapes(name, total / count, round(count - within), round(count))


def _read(url: str) -> tuple[float, float, float]:
    """Return the number of scrapes so far, the seconds that they took, and how many kept to the goal."""
    with urlopen(url) as answer:
        page = answer.read().decode()
    values = {
        sample.name + sample.labels.get("le", ""): sample.value
        for family in text_string_to_metric_families(page)
        if family.name == _NAME
        for sample in family.samples
    }
    return values[f"{_NAME}_count"], values[f"{_NAME}_sum"], values[f"{_NAME}_bucket{GOAL_SECONDS}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both costs; exit code 0, or 2 with one line for what is unusable."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m benchmarks.instrumentation", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--turns", type=int, default=100, help="turns of each server (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.25, help="length of a turn (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        for done in cost_of_scrapes(CROWD, SCRAPES):
            print(
                f"{CROWD.clients:,} connections, {CROWD.rooms:,} rooms: a scrape ({done.format}, gzip) holds the event "
                f"loop for {1000 * done.mean:.2f} ms on average; {done.over_goal} of {done.count} for more than "
                f"{1000 * GOAL_SECONDS:g} ms"
            )
        for load in LOADS:
            costs = cost_of_counting(load, options.seconds, options.turns)
            deliveries = load.rate * (load.clients // load.rooms - 1)
            low, high = interval(costs)
            print(
                f"{deliveries:,} deliveries/s in {load.rooms} rooms: counting adds {median(costs):.1%} to the CPU of a "
                f"delivery (95 % interval {low:.1%} to {high:.1%}, {len(costs)} turns)"
            )
    except (PeerError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
