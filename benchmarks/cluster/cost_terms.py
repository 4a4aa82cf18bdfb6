"""Measure the cost terms of a cluster node: the CPU of a message, of a write, of bus messages sent and received.

    .venv/bin/python -m benchmarks.cluster.cost_terms --json docs/scaling.json

Loads that differ in one respect run against one, two and three nodes. The CPU of each process is a sum of terms, fitted
by non-negative least squares. The runs with three nodes are not fitted, but predicted from the terms.
`python -m benchmarks.population_tables` applies the terms to large numbers of users.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families
from scipy.optimize import nnls

from benchmarks.cluster.nats import Nats, cpu_per_message, entry_bytes, nats
from benchmarks.command import command_parser, with_exit_code
from benchmarks.http_client import urlopen
from benchmarks.load.driver import ChatLoad, ClientPool
from benchmarks.load.wire import DisconnectedError
from benchmarks.processes import BenchmarkError, ServerProcess, cpu_seconds, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.synchronize import Event

WARM_UP_SECONDS: Final = 1.0
_TIMEOUT_SECONDS: Final = 60
_COUNTERS: Final = {
    "messages": 'chat_messages_received_total{type="chatMessage"}',
    "joins": "chat_room_joins_total{}",
    "writes": 'chat_messages_delivered_total{type="chatMessage"}',
    "published": 'chat_bus_messages_total{direction="sent"}',
    "bus_received": 'chat_bus_messages_total{direction="received"}',
    "batches": "chat_bus_lag_seconds_count{}",
}


@dataclass(frozen=True, slots=True)
class Clients:
    """Clients of one node: their load, the prefix of their rooms, and whether they rejoin rooms instead of chatting."""

    node: int
    load: ChatLoad
    rooms: str = "room"
    joins: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """Client groups on several nodes; `received_as` is the term for the bus messages that a node receives."""

    name: str
    nodes: int
    groups: tuple[Clients, ...]
    received_as: str = "received"


_LISTENERS: Final = Clients(1, ChatLoad(1000, 1000, 0), "other")
"""Clients in so many rooms that their node receives every bus message."""

SCENARIOS: Final = (
    Scenario("silence", 1, (Clients(0, ChatLoad(400, 20, 0)),)),
    Scenario("silence, over both", 2, (Clients(0, ChatLoad(200, 20, 0)), Clients(1, ChatLoad(200, 20, 0)))),
    Scenario("rooms of 2", 1, (Clients(0, ChatLoad(400, 200, 4000)),)),
    Scenario("rooms of 20", 1, (Clients(0, ChatLoad(400, 20, 2000)),)),
    Scenario("rooms of 100", 1, (Clients(0, ChatLoad(400, 4, 500)),)),
    Scenario("rooms of 2, over both", 2, (Clients(0, ChatLoad(200, 200, 4000)), Clients(1, ChatLoad(200, 200, 0)))),
    Scenario("rooms of 20, over both", 2, (Clients(0, ChatLoad(200, 20, 2000)), Clients(1, ChatLoad(200, 20, 0)))),
    Scenario("rooms of 100, over both", 2, (Clients(0, ChatLoad(200, 4, 500)), Clients(1, ChatLoad(200, 4, 0)))),
    Scenario(
        "others' rooms",
        2,
        (Clients(0, ChatLoad(200, 200, 4000)), _LISTENERS),
        "discarded",
    ),
    Scenario(
        "joins",
        2,
        (Clients(0, ChatLoad(400, 400, 1000), joins=True), _LISTENERS),
        "presence",
    ),
    Scenario("rooms of 30, over three", 3, tuple(Clients(node, ChatLoad(200, 20, 500)) for node in range(3))),
    Scenario("rooms of 12, over three", 3, tuple(Clients(node, ChatLoad(200, 50, 1000)) for node in range(3))),
)
PREDICTED: Final = 3
"""Runs with at least this number of nodes are predicted, not fitted."""

NODE_TERMS: Final = ("second", "message", "join", "write", "published", "received", "discarded", "presence")
BUS_TERMS: Final = ("second", "in", "out")


Row = dict[str, object]
Counts = dict[str, int]


def count(scenario: Scenario, windows: int, seconds: float) -> list[list[Row]]:
    """Run a scenario; return for each window one row per process, NATS last: its CPU seconds and its counts.

    Raises:
        BenchmarkError: a server did not start, or clients could not join.
        OSError: a server refused connections.
    """
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        bus = stack.enter_context(nats(cores[-1])) if scenario.nodes > 1 else None
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        flags = ["--upload-dir", folder, "--heartbeat-interval", "0", "--heartbeat-timeout", "0"]
        flags += ["--nats", bus.url] if bus else []
        servers = [stack.enter_context(running(stampede_command(*flags), cores[-1])) for _ in range(scenario.nodes)]
        os.sched_setaffinity(0, {cores[0]})
        stack.callback(os.sched_setaffinity, 0, cores)
        for group in scenario.groups:
            stack.enter_context(_run_clients(servers[group.node].url, group))
        time.sleep(WARM_UP_SECONDS)
        return [_window(scenario, servers, bus, seconds) for _ in range(windows)]


def typical(windows: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the median window of each process.

    Other work on the machine makes some windows expensive; clients that were delayed send bursts, which are cheap.
    """
    return [sorted(each, key=_cost)[len(each) // 2] for each in zip(*windows, strict=True)]


def _window(scenario: Scenario, servers: Sequence[ServerProcess], bus: Nats | None, seconds: float) -> list[Row]:
    started = [_start_window(server.process.pid, partial(_server_counts, server)) for server in servers]
    started += [_start_window(bus.pid, partial(_nats_counts, bus))] if bus else []
    time.sleep(seconds)
    rows: list[Row] = []
    for node, finish in enumerate(started):
        cpu, took, done = finish()
        about = {"scenario": scenario.name, "nodes": scenario.nodes, "cpu": cpu}
        if node == len(servers):
            rows.append({**about, "node": "nats", "second": took, **done})
        else:
            rows.append({**about, "node": node, **_counts_by_term(scenario, done, took)})
    return rows


def _start_window(
    pid: int, counters: Callable[[], dict[str, int]]
) -> Callable[[], tuple[float, float, dict[str, int]]]:
    """Start a window of one process; the returned function ends it and returns CPU, seconds and counts.

    Each process has a separate window, because a scrape takes time; the CPU of the scrape is excluded.
    """
    before = counters()
    cpu, start = cpu_seconds(pid), time.perf_counter()

    def finish() -> tuple[float, float, Counts]:
        spent, took = cpu_seconds(pid) - cpu, time.perf_counter() - start
        return spent, took, {name: value - before[name] for name, value in counters().items()}

    return finish


def _cost(row: Row) -> float:
    """Return the CPU of a row, relative to the sum of its counts."""
    return _number(row, "cpu") / sum(_number(row, name) for name in {*NODE_TERMS, *BUS_TERMS})


def _counts_by_term(scenario: Scenario, counted: dict[str, int], seconds: float) -> dict[str, object]:
    """Return the counts of a node by cost term."""
    from_bus = {"received": 0, "discarded": 0, "presence": 0}
    presence = counted["bus_received"] - counted["batches"]
    from_bus[scenario.received_as] = counted["batches"] if scenario.received_as != "presence" else presence
    joins = counted["joins"]
    published = 0 if joins else counted["published"]
    return {
        "second": seconds, "message": counted["messages"], "join": joins, "write": counted["writes"],
        "published": published, **from_bus,
    }  # fmt: skip


def fit(rows: Sequence[Row], terms: Sequence[str]) -> dict[str, float]:
    """Return the CPU microseconds of each term, fitted to the CPU of the rows by least squares of relative errors."""
    table = [[_number(row, term) / _number(row, "cpu") for term in terms] for row in rows]
    found, _ = nnls(table, [1.0] * len(table))
    return {term: round(1e6 * float(value), 3) for term, value in zip(terms, found, strict=True)}


def predicted(row: Row, terms: dict[str, float]) -> float:
    """Return the CPU seconds that the terms predict for a row."""
    return sum(_number(row, term) * value for term, value in terms.items()) / 1e6


def _number(row: Row, name: str) -> float:
    return float(str(row.get(name, 0)))


def message_bytes(rows: Sequence[Row]) -> float:
    """Return the payload bytes of a chat message on the bus."""
    (row,) = (row for row in rows if (row["scenario"], row["node"]) == ("rooms of 20, over both", "nats"))
    return round(_number(row, "in_bytes") / _number(row, "in"), 1)


@contextmanager
def _run_clients(url: str, group: Clients) -> Iterator[None]:
    """Run a group of clients in a separate process until the block ends."""
    context = multiprocessing.get_context("fork")
    ready, ended = context.Event(), context.Event()
    process = context.Process(target=_chat, args=(url, group, ready, ended), daemon=True)
    process.start()
    try:
        if not ready.wait(_TIMEOUT_SECONDS):
            raise BenchmarkError("clients could not join their rooms")
        yield
    finally:
        ended.set()
        process.join()


def _chat(url: str, group: Clients, ready: Event, ended: Event) -> None:
    with ClientPool(url, group.load, group.rooms) as pool:
        if group.joins:
            pool.rejoin()
        ready.set()
        try:
            while not ended.is_set():
                pool.run(0.0, 0.5, lambda: None)
        except DisconnectedError:
            if not ended.is_set():
                raise


def _server_counts(server: ServerProcess) -> dict[str, int]:
    with urlopen(server.url.replace("ws://", "http://") + "/metrics") as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return {name: round(found.get(series, 0.0)) for name, series in _COUNTERS.items()}


def _nats_counts(bus: Nats) -> dict[str, int]:
    with urlopen(f"{bus.monitor}/varz") as answer:
        counts = json.load(answer)
    return {
        "in": counts["in_msgs"],
        "out": counts["out_msgs"],
        "in_bytes": counts["in_bytes"],
        "out_bytes": counts["out_bytes"],
    }


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print rows and terms."""
    parser = command_parser("benchmarks.cluster.cost_terms", __doc__)
    parser.add_argument("--seconds", type=float, default=0.6, help="length of each window (%(default)s)")
    parser.add_argument("--windows", type=int, default=3, help="windows of each load in a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all loads (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    options = parser.parse_args(arguments)
    rounds = [[count(each, options.windows, options.seconds) for each in SCENARIOS] for _ in range(options.rounds)]
    rows = [row for each in zip(*rounds, strict=True) for row in typical(list(chain.from_iterable(each)))]
    bus_terms = cpu_per_message()
    nodes = [row for row in rows if row["node"] != "nats"]
    node_terms = fit([row for row in nodes if int(str(row["nodes"])) < PREDICTED], NODE_TERMS)
    for row in rows:
        row["cpu"] = round(_number(row, "cpu"), 4)
        row["second"] = round(_number(row, "second"), 3)
        line = f"{row['scenario']:26} {row['node']!s:4} {_number(row, 'cpu'):7.3f} s"
        if row["node"] == "nats":
            print(line)
            continue
        row["predicted"] = round(predicted(row, node_terms), 4)
        print(f"{line}, predicted {_number(row, 'predicted'):7.3f} s")
    windows = options.rounds * options.windows
    report: dict[str, object] = {
        "taken": f"median of {windows} windows of {options.seconds:g} seconds in {options.rounds} rounds",
        "node": node_terms,
        "bus": bus_terms,
        "message_bytes": message_bytes(rows),
        "entry_bytes": entry_bytes(),
    }
    print(json.dumps(report, indent=1))
    if options.json:
        report["rows"] = rows
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(None))
