"""What being one of several costs: CPU per delivery in two workers beside one, and messages on the bus.

    .venv/bin/python -m benchmarks.cluster

Both servers are up all the time and are loaded in short turns, below what either takes: what else happens on the
machine happens to both. A delivery's CPU is that of all processes that serve clients; NATS is shown beside it.
"""

from __future__ import annotations

import argparse
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

from benchmarks._driver import Herd, Load
from benchmarks._turns import cpu_seconds, in_turns, spent_per_delivery
from benchmarks.direct import urlopen
from benchmarks.fanout import pinned, separate_cpus
from benchmarks.instrumentation import interval
from benchmarks.peers import PeerError, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WORKERS: Final = 2
LOADS: Final = (Load(1000, 50, 1000), Load(200, 2, 1000), Load(200, 20, 2000))
"""Rooms of 20, of 100 and of 10, each of which spans the workers."""

MEMBERS: Final = (10, 100, 1000)
"""Of the one room in which bus messages are counted."""

MESSAGES_PER_SECOND: Final = 50
"""There, so that each is alone in its tick."""

_LOOK_SECONDS: Final = 0.1
_NATS: Final = "nats-server"
_BATCHES: Final = "chat_bus_lag_seconds_count"  # one for each message with chat in it that a worker took off the bus
_DISCOVERY: Final = re.compile(r"http://\S+/targets")


@dataclass(frozen=True, slots=True)
class Server:
    """A server to be loaded: where it is, the processes that serve, its bus, and where each process' metrics are."""

    url: str
    serving: tuple[int, ...]
    bus: tuple[int, ...]
    pages: tuple[str, ...]

    def count(self, metric: str) -> float:
        """Return a metric's sum over all processes."""
        return sum(_read(page, metric) for page in self.pages)


@dataclass(frozen=True, slots=True)
class Turn:
    """CPU microseconds of a delivery: in the process that serves alone, in both of two, and in NATS."""

    alone: float
    together: float
    nats: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a load costs two workers, over one; `with_nats` counts the bus as theirs."""

    load: Load
    turns: tuple[Turn, ...]

    @property
    def ratios(self) -> list[float]:
        """Two workers' CPU over one's, ascending."""
        return self._ratios(lambda turn: turn.together)

    @property
    def with_nats(self) -> float:
        """The median of the same, the bus included."""
        return median(self._ratios(lambda turn: turn.together + turn.nats))

    def _ratios(self, spent: Callable[[Turn], float]) -> list[float]:
        """Return a ratio for each two turns in a row, one in either order.

        Whoever is loaded right after the other is dearer, by up to a third: of single turns there are two kinds.
        """
        both = zip(self.turns[::2], self.turns[1::2], strict=False)
        return sorted((spent(a) + spent(b)) / (a.alone + b.alone) for a, b in both)

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
    """What chat messages in a room of so many members became on the bus."""

    members: int
    sent: int
    on_the_bus: int

    def __str__(self) -> str:
        return (
            f"A room of {self.members:,} members over {WORKERS} workers: {self.sent} chat messages, {self.on_the_bus} "
            f"on the bus: {self.on_the_bus / self.sent:.2f} for each"
        )


def cost(load: Load, seconds: float, turns: int) -> Cost:
    """Return what a load costs in two workers and in one.

    Raises:
        PeerError: a server did not start, or delivered nothing.
        OSError: it refused or closed connections.
    """
    cpus = separate_cpus() or (None, None)
    with ExitStack() as stack:
        servers = [stack.enter_context(_server(workers, cpus[0])) for workers in (1, WORKERS)]
        stack.enter_context(pinned(cpus[1]))
        measures = [partial(_turn, server, stack.enter_context(Herd(server.url, load))) for server in servers]
        taken = [Turn(alone, *several) for (alone, _), several in in_turns(measures, seconds, turns)]
    return Cost(load, tuple(taken))


def traffic(members: int, seconds: float) -> Traffic:
    """Return how many messages on the bus those of one room became; raises as `cost` does."""
    with _server(WORKERS, None) as server, Herd(server.url, Load(members, 1, MESSAGES_PER_SECOND)) as herd:
        sent = herd.run(0.0, seconds, lambda: None).sent
        return Traffic(members, sent, round(_settled(server)))


def _settled(server: Server) -> float:
    """Return how many messages with chat were on the bus, once no more come."""
    count = -1.0
    while count != (count := server.count(_BATCHES)):
        time.sleep(_LOOK_SECONDS)
    return count


def _turn(server: Server, herd: Herd, seconds: float) -> tuple[float, float]:
    """Return CPU microseconds of a delivery in the processes that serve, and in the bus."""
    serving, bus = spent_per_delivery(herd, seconds, lambda: (cpu_seconds(*server.serving), cpu_seconds(*server.bus)))
    return 1e6 * serving, 1e6 * bus


@contextmanager
def _server(workers: int, cpu: int | None) -> Iterator[Server]:
    """Run a server of one or several workers, all on one CPU if asked."""
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
            raise PeerError("the server did not say where its workers' metrics are")
        with urlopen(discovery[0]) as answer:
            pages = tuple(f"http://{target}/metrics" for group in json.load(answer) for target in group["targets"])
        children = psutil.Process(server.process.pid).children()
        bus = tuple(child.pid for child in children if child.name() == _NATS)
        yield Server(server.url, tuple(child.pid for child in children if child.pid not in bus), bus, pages)


def _read(page: str, metric: str) -> float:
    with urlopen(page) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return sum(sample.value for family in families for sample in family.samples if sample.name == metric)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both; exit code 0, or 2 with one line for what is unusable."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m benchmarks.cluster", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--turns", type=int, default=20, help="turns of each server, two at least (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args(arguments)
    if options.turns < 2:
        parser.error("--turns: two at least")
    costs, traffics = [], []
    try:
        for members in MEMBERS:
            traffics.append(traffic(members, options.seconds))
            print(traffics[-1], flush=True)
        for load in LOADS:
            costs.append(cost(load, options.seconds, options.turns))
            print(costs[-1], flush=True)
        if options.json:
            report = {"traffic": [asdict(one) for one in traffics], "costs": [asdict(one) for one in costs]}
            options.json.write_text(json.dumps(report, indent=2) + "\n")
    except (PeerError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
