"""What measuring costs: the server beside itself without a single counter, and what one scrape holds up.

Counting is compared as CPU per delivery of the same server under the same load, in turns; the figure is the median of
the pairs. A scrape is measured by the server itself, with many connections in many rooms, as Prometheus asks for it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from benchmarks._driver import Herd, Load
from benchmarks.fanout import run_rounds
from benchmarks.peers import PeerError, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNTING: Final = "counting"
UNCOUNTED: Final = "not counting"

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


def cost_of_counting(load: Load, seconds: float, rounds: int) -> list[float]:
    """Return what counting adds to the CPU of a delivery, as a part of it, for each pair of valid rounds; ascending.

    Raises:
        PeerError: a server did not start, or no pair is valid.
    """
    with tempfile.TemporaryDirectory() as uploads:
        command = stampede_command("--upload-dir", uploads)
        bare = [word if word != "server" else "benchmarks._uncounted" for word in command]
        measured = run_rounds({COUNTING: command, UNCOUNTED: bare}, load, seconds, rounds, lambda _done: None)
    found = []
    for counting, uncounted in zip(measured[::2], measured[1::2], strict=True):
        costs = (counting.cpu_us_per_delivery, uncounted.cpu_us_per_delivery)
        if counting.problem is None and uncounted.problem is None and costs[0] and costs[1]:
            found.append(costs[0] / costs[1] - 1)
    if not found:
        raise PeerError(f"no valid pair: {[done.problem for done in measured if done.problem]}")
    return sorted(found)


def cost_of_scrapes(crowd: Load, scrapes: int) -> list[Scrapes]:
    """Return what scrapes cost a server with a crowd in it, for each format.

    Raises:
        PeerError: the server did not start.
        OSError: it refused connections.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limits = ("--handshake-rate", "0", "--heartbeat-interval", "0", "--heartbeat-timeout", "0")
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
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:  # noqa: S310 - ours
            answer.read()
    after = _read(url)
    # The page shows the scrapes before it: the first reading is the one that is counted too much.
    count, total, within = after[0] - count, after[1] - total, after[2] - within
    return Scrapes(name, total / count, round(count - within), round(count))


def _read(url: str) -> tuple[float, float, float]:
    """Return the number of scrapes so far, the seconds that they took, and how many kept to the goal."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own server
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
        prog="python -m benchmarks.instrumentation", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=12, help="rounds of each server (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="window of a round (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        for done in cost_of_scrapes(CROWD, SCRAPES):
            print(
                f"{CROWD.clients:,} connections, {CROWD.rooms:,} rooms: a scrape ({done.format}, gzip) holds the event "
                f"loop for {1000 * done.mean:.2f} ms on average; {done.over_goal} of {done.count} for more than "
                f"{1000 * GOAL_SECONDS:g} ms"
            )
        for load in LOADS:
            costs = cost_of_counting(load, options.seconds, options.rounds)
            deliveries = load.rate * (load.clients // load.rooms - 1)
            print(
                f"{deliveries:,} deliveries/s in {load.rooms} rooms: counting adds {median(costs):.1%} to the CPU of a "
                f"delivery ({costs[0]:.1%} to {costs[-1]:.1%} in {len(costs)} pairs)"
            )
    except (PeerError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
