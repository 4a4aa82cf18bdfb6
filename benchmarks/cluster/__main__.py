"""Measure the cost of several server processes: CPU per delivery with two workers and with one, and bus messages.

    .venv/bin/python -m benchmarks.cluster

Both servers run all the time and are loaded in short alternating turns, below saturation. So other work on the machine
affects both alike. The CPU of a delivery includes all processes that serve clients; NATS is shown separately.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.command import command_parser, with_exit_code
from benchmarks.costs.instrumentation import interval
from benchmarks.http_client import urlopen
from benchmarks.interleaving import interleave, used_per_delivery
from benchmarks.load.driver import ChatLoad, ClientPool
from benchmarks.processes import BenchmarkError, cpu_seconds, pinned, running, separate_cpus, stampede_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WORKERS: Final = 2
LOADS: Final = (ChatLoad(1000, 50, 1000), ChatLoad(200, 2, 1000), ChatLoad(200, 20, 2000))
"""Rooms of 20, 100 and 10 members, each with members on both workers."""

MEMBERS: Final = (10, 100, 1000)
"""Sizes of the room in which bus messages are counted."""

MESSAGES_PER_SECOND: Final = 50
"""Rate in that room: low enough that each message has its own event loop iteration."""

_POLL_SECONDS: Final = 0.1
_NATS: Final = "nats-server"
_BATCHES: Final = "chat_bus_lag_seconds_count"  # counts the bus messages with chat that a worker received
_DISCOVERY: Final = re.compile(r"http://\S+/targets")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its URL, the ids of the processes that serve and of NATS, and the URLs of the metrics pages."""

    url: str
    serving: tuple[int, ...]
    bus: tuple[int, ...]
    pages: tuple[str, ...]

    def count(self, metric: str) -> float:
        """Return the sum of a metric over all processes."""
        return sum(_read(page, metric) for page in self.pages)


@dataclass(frozen=True, slots=True)
class Turn:
    """CPU microseconds of a delivery: with one worker, with two workers together, and in NATS."""

    alone: float
    together: float
    nats: float


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a load with two workers relative to one; `with_nats` includes the CPU of NATS."""

    load: ChatLoad
    turns: tuple[Turn, ...]

    @property
    def ratios(self) -> list[float]:
        """The ratios of the CPU of two workers to that of one, ascending."""
        return self._ratios(lambda turn: turn.together)

    @property
    def with_nats(self) -> float:
        """The median ratio, with the CPU of NATS included."""
        return median(self._ratios(lambda turn: turn.together + turn.nats))

    def _ratios(self, used: Callable[[Turn], float]) -> list[float]:
        """Return one ratio for each pair of consecutive turns, which have opposite orders.

        The server that is loaded second in a turn uses up to a third more CPU, so single turns are not comparable.
        """
        both = zip(self.turns[::2], self.turns[1::2], strict=False)
        return sorted((used(a) + used(b)) / (a.alone + b.alone) for a, b in both)

    def __str__(self) -> str:
        low, high = interval(self.ratios)
        alone, together, nats = (
            median(getattr(turn, name) for turn in self.turns) for name in ("alone", "together", "nats")
        )
        return (
            f"{self.load.clients:,} clients in {self.load.rooms} rooms, {self.load.rate:,} messages/s: {alone:.2f} us "
            f"of CPU a delivery in one worker, {together:.2f} us in {WORKERS} (and {nats:.2f} us in NATS): "
            f"{median(self.ratios):.2f} times (95 % interval {low:.2f} to {high:.2f}; {self.with_nats:.2f} with NATS)"
        )


@dataclass(frozen=True, slots=True)
class Traffic:
    """The number of chat messages sent in a room, and of the bus messages that carried them."""

    members: int
    sent: int
    on_the_bus: int

    def __str__(self) -> str:
        return (
            f"A room of {self.members:,} members over {WORKERS} workers: {self.sent} chat messages, {self.on_the_bus} "
            f"on the bus: {self.on_the_bus / self.sent:.2f} for each"
        )


def cost(load: ChatLoad, seconds: float, turns: int) -> Cost:
    """Measure the cost of a load with two workers and with one.

    Raises:
        BenchmarkError: a server did not start, or delivered nothing.
        OSError: a server refused or closed connections.
    """
    cpus = separate_cpus() or (None, None)
    with ExitStack() as stack:
        servers = [stack.enter_context(_server(workers, cpus[0])) for workers in (1, WORKERS)]
        stack.enter_context(pinned(cpus[1]))
        measures = [partial(_turn, server, stack.enter_context(ClientPool(server.url, load))) for server in servers]
        taken = [Turn(alone, *several) for (alone, _), several in interleave(measures, seconds, turns)]
    return Cost(load, tuple(taken))


def traffic(members: int, seconds: float) -> Traffic:
    """Count the bus messages that carry the chat of one room; raises as `cost` does."""
    with _server(WORKERS, None) as server, ClientPool(server.url, ChatLoad(members, 1, MESSAGES_PER_SECOND)) as pool:
        sent = pool.run(0.0, seconds, lambda: None).sent
        return Traffic(members, sent, round(_final_count(server)))


def _final_count(server: Server) -> float:
    """Return the count of bus messages with chat, once it no longer grows."""
    count = -1.0
    while count != (count := server.count(_BATCHES)):
        time.sleep(_POLL_SECONDS)
    return count


def _turn(server: Server, pool: ClientPool, seconds: float) -> tuple[float, float]:
    """Return the CPU microseconds of a delivery in the serving processes and in NATS."""
    serving, bus = used_per_delivery(pool, seconds, lambda: (cpu_seconds(*server.serving), cpu_seconds(*server.bus)))
    return 1e6 * serving, 1e6 * bus


@contextmanager
def _server(workers: int, cpu: int | None) -> Iterator[Server]:
    """Run a server with one or several workers, optionally all on one CPU."""
    flags = ("--workers", str(workers), "--heartbeat-interval", "0", "--heartbeat-timeout", "0")
    with (
        tempfile.TemporaryDirectory() as uploads,
        running(stampede_command("--upload-dir", uploads, *flags), cpu) as server,
    ):
        if workers == 1:
            pages: tuple[str, ...] = (server.url.replace("ws://", "http://") + "/metrics",)
            yield Server(server.url, (server.process.pid,), (), pages)
            return
        assert server.process.stdout is not None  # noqa: S101 - Popen was asked for a pipe
        discovery = _DISCOVERY.search(server.process.stdout.readline())
        if discovery is None:
            raise BenchmarkError("the server did not print the address of its workers' metrics")
        with urlopen(discovery[0]) as answer:
            pages = tuple(f"http://{target}/metrics" for group in json.load(answer) for target in group["targets"])
        children = psutil.Process(server.process.pid).children()
        bus = tuple(child.pid for child in children if child.name() == _NATS)
        yield Server(server.url, tuple(child.pid for child in children if child.pid not in bus), bus, pages)


def _read(page: str, metric: str) -> float:
    with urlopen(page) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return sum(sample.value for family in families for sample in family.samples if sample.name == metric)


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print both measurements."""
    parser = command_parser("benchmarks.cluster", __doc__)
    parser.add_argument("--turns", type=int, default=20, help="turns of each server, at least two (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    options = parser.parse_args(arguments)
    if options.turns < 2:
        parser.error("--turns must be at least 2")
    costs, traffics = [], []
    for members in MEMBERS:
        traffics.append(traffic(members, options.seconds))
        print(traffics[-1], flush=True)
    for load in LOADS:
        costs.append(cost(load, options.seconds, options.turns))
        print(costs[-1], flush=True)
    if options.json:
        report = {"traffic": [asdict(one) for one in traffics], "costs": [asdict(one) for one in costs]}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main(None))
