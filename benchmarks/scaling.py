"""The terms of what a node of a cluster costs: CPU of a message, a write, of what goes out on the bus and comes in.

    .venv/bin/python -m benchmarks.scaling --json docs/scaling.json

Loads that differ in one thing each are run against one node, two and three; every process' CPU is the sum of its terms,
found by least squares with none below zero. The nodes of the runs with three stay out of that: the terms predict them.
What the terms mean for many users is worked out by `.venv/bin/python -m capacity.population`.
"""

from __future__ import annotations

import argparse
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

from benchmarks._driver import Herd, Load
from benchmarks._nats import Nats, carrying, entry_bytes, nats
from benchmarks._turns import cpu_seconds
from benchmarks._wire import DisconnectedError
from benchmarks.direct import urlopen
from benchmarks.peers import PeerError, Running, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.synchronize import Event

WARM_UP_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 60
_COUNTERS: Final = {
    "messages": 'chat_messages_received_total{type="chatMessage"}',
    "joins": "chat_room_joins_total{}",
    "writes": 'chat_messages_delivered_total{type="chatMessage"}',
    "published": 'chat_bus_messages_total{direction="sent"}',
    "received": 'chat_bus_messages_total{direction="received"}',
    "batches": "chat_bus_lag_seconds_count{}",
}


@dataclass(frozen=True, slots=True)
class Crowd:
    """Clients of one node: what they offer, in which rooms, and whether they join where they would chat."""

    node: int
    load: Load
    rooms: str = "room"
    joins: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """Crowds on so many nodes; `hears` is what the bus' messages are to those who take them."""

    name: str
    nodes: int
    crowds: tuple[Crowd, ...]
    hears: str = "heard"


_LISTENERS: Final = Crowd(1, Load(1000, 1000, 0), "other")
"""In so many rooms that their node hears everything on the bus."""

SCENARIOS: Final = (
    Scenario("silence", 1, (Crowd(0, Load(400, 20, 0)),)),
    Scenario("silence, over both", 2, (Crowd(0, Load(200, 20, 0)), Crowd(1, Load(200, 20, 0)))),
    Scenario("rooms of 2", 1, (Crowd(0, Load(400, 200, 4000)),)),
    Scenario("rooms of 20", 1, (Crowd(0, Load(400, 20, 2000)),)),
    Scenario("rooms of 100", 1, (Crowd(0, Load(400, 4, 500)),)),
    Scenario("rooms of 2, over both", 2, (Crowd(0, Load(200, 200, 4000)), Crowd(1, Load(200, 200, 0)))),
    Scenario("rooms of 20, over both", 2, (Crowd(0, Load(200, 20, 2000)), Crowd(1, Load(200, 20, 0)))),
    Scenario("rooms of 100, over both", 2, (Crowd(0, Load(200, 4, 500)), Crowd(1, Load(200, 4, 0)))),
    Scenario("others' rooms", 2, (Crowd(0, Load(200, 200, 4000)), Crowd(1, Load(1000, 1000, 0), "other")), "overheard"),
    Scenario(
        "joins", 2, (Crowd(0, Load(400, 400, 1000), joins=True), Crowd(1, Load(1000, 1000, 0), "other")), "joined"
    ),
    Scenario("rooms of 30, over three", 3, tuple(Crowd(node, Load(200, 20, 500)) for node in range(3))),
    Scenario("rooms of 12, over three", 3, tuple(Crowd(node, Load(200, 50, 1000)) for node in range(3))),
)
PREDICTED: Final = 3
"""Nodes from which on a run is predicted, not fitted."""

NODE_TERMS: Final = ("second", "message", "join", "write", "published", "heard", "overheard", "joined")
BUS_TERMS: Final = ("second", "in", "out")


Row = dict[str, object]


def count(scenario: Scenario, windows: int, seconds: float) -> list[list[Row]]:
    """Return, for each window, a row for each process, the NATS server's last: CPU seconds and what they went into.

    Raises:
        PeerError: a server did not start, or lost clients.
        OSError: it refused connections.
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
        for crowd in scenario.crowds:
            stack.enter_context(_crowd(servers[crowd.node].url, crowd))
        time.sleep(WARM_UP_SECONDS)
        return [_window(scenario, servers, bus, seconds) for _ in range(windows)]


def typical(windows: Sequence[Sequence[Row]]) -> list[Row]:
    """Return each process' median window.

    Others on the machine make some dear, and where clients were held up what they send at once makes some cheap.
    """
    return [sorted(each, key=_cost)[len(each) // 2] for each in zip(*windows, strict=True)]


def _window(scenario: Scenario, servers: Sequence[Running], bus: Nats | None, seconds: float) -> list[Row]:
    looked = [_look(server.process.pid, partial(_page, server)) for server in servers]
    looked += [_look(bus.pid, partial(_told, bus))] if bus else []
    time.sleep(seconds)
    rows: list[Row] = []
    for node, look in enumerate(looked):
        cpu, took, done = look()
        about = {"scenario": scenario.name, "nodes": scenario.nodes, "cpu": cpu}
        if node == len(servers):
            rows.append({**about, "node": "nats", "second": took, **done})
        else:
            rows.append({**about, "node": node, **_spent(scenario, done, took)})
    return rows


def _look(pid: int, counters: Callable[[], dict[str, int]]) -> Callable[[], tuple[float, float, dict[str, int]]]:
    """Return what tells, later, the CPU and the time that went by and what was counted in it.

    Of each process by itself, since telling takes time; what telling costs stays out.
    """
    before = counters()
    cpu, start = cpu_seconds(pid), time.perf_counter()

    def look() -> tuple[float, float, dict[str, int]]:
        spent, took = cpu_seconds(pid) - cpu, time.perf_counter() - start
        return spent, took, {name: value - before[name] for name, value in counters().items()}

    return look


def _cost(row: Row) -> float:
    """Return CPU over all that was done for it."""
    return _number(row, "cpu") / sum(_number(row, name) for name in {*NODE_TERMS, *BUS_TERMS})


def _spent(scenario: Scenario, counted: dict[str, int], seconds: float) -> dict[str, object]:
    """Return what a node's CPU was spent on, by term."""
    heard = {"heard": 0, "overheard": 0, "joined": 0}
    others = counted["received"] - counted["batches"]
    heard[scenario.hears] = counted["batches"] if scenario.hears != "joined" else others
    joins = counted["joins"]
    published = 0 if joins else counted["published"]
    return {
        "second": seconds, "message": counted["messages"], "join": joins, "write": counted["writes"],
        "published": published, **heard,
    }  # fmt: skip


def fit(rows: Sequence[Row], terms: Sequence[str]) -> dict[str, float]:
    """Return the CPU microseconds of each term that fit the rows' CPU best, relative errors squared."""
    table = [[_number(row, term) / _number(row, "cpu") for term in terms] for row in rows]
    found, _ = nnls(table, [1.0] * len(table))
    return {term: round(1e6 * float(value), 3) for term, value in zip(terms, found, strict=True)}


def predicted(row: Row, terms: dict[str, float]) -> float:
    """Return the CPU seconds that the terms make of a row."""
    return sum(_number(row, term) * value for term, value in terms.items()) / 1e6


def _number(row: Row, name: str) -> float:
    return float(str(row.get(name, 0)))


def message_bytes(rows: Sequence[Row]) -> float:
    """Return the bytes of payload that a chat message has on the bus."""
    (row,) = (row for row in rows if (row["scenario"], row["node"]) == ("rooms of 20, over both", "nats"))
    return round(_number(row, "in_bytes") / _number(row, "in"), 1)


@contextmanager
def _crowd(url: str, crowd: Crowd) -> Iterator[None]:
    """Keep a crowd going in a process of its own until the block ends."""
    context = multiprocessing.get_context("fork")
    ready, ended = context.Event(), context.Event()
    process = context.Process(target=_chat, args=(url, crowd, ready, ended), daemon=True)
    process.start()
    try:
        if not ready.wait(_PATIENCE_SECONDS):
            raise PeerError("clients could not enter their rooms")
        yield
    finally:
        ended.set()
        process.join()


def _chat(url: str, crowd: Crowd, ready: Event, ended: Event) -> None:
    with Herd(url, crowd.load, crowd.rooms) as herd:
        if crowd.joins:
            herd.join_again()
        ready.set()
        try:
            while not ended.is_set():
                herd.run(0.0, 0.5, lambda: None)
        except DisconnectedError:
            if not ended.is_set():
                raise


def _page(server: Running) -> dict[str, int]:
    with urlopen(server.url.replace("ws://", "http://") + "/metrics") as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return {name: round(found.get(series, 0.0)) for name, series in _COUNTERS.items()}


def _told(bus: Nats) -> dict[str, int]:
    with urlopen(f"{bus.monitor}/varz") as answer:
        told = json.load(answer)
    return {
        "in": told["in_msgs"],
        "out": told["out_msgs"],
        "in_bytes": told["in_bytes"],
        "out_bytes": told["out_bytes"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print rows and terms; exit code 0, or 2 with one line for what is unusable."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m benchmarks.scaling", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=0.6, help="length of each window (%(default)s)")
    parser.add_argument("--windows", type=int, default=3, help="windows of each load in a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all loads, minutes apart (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args(arguments)
    try:
        rounds = [[count(each, options.windows, options.seconds) for each in SCENARIOS] for _ in range(options.rounds)]
        rows = [row for each in zip(*rounds, strict=True) for row in typical(list(chain.from_iterable(each)))]
        bus_terms = carrying()
    except (PeerError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    nodes = [row for row in rows if row["node"] != "nats"]
    node_terms = fit([row for row in nodes if int(str(row["nodes"])) < PREDICTED], NODE_TERMS)
    for row in rows:
        row["cpu"] = round(_number(row, "cpu"), 4)
        row["second"] = round(_number(row, "second"), 3)
        told = f"{row['scenario']:26} {row['node']!s:4} {_number(row, 'cpu'):7.3f} s"
        if row["node"] == "nats":
            print(told)
            continue
        row["predicted"] = round(predicted(row, node_terms), 4)
        print(f"{told}, by the terms {_number(row, 'predicted'):7.3f} s")
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
