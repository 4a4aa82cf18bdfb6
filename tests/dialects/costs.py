"""Measure what a delivery costs the load generator in each dialect, with the same rooms and the same rate.

    .venv/bin/python -m tests.dialects.costs --rounds 3

Each dialect is measured on its real server. The server and the generator have a CPU each, if there are two.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.command import command_parser, with_exit_code
from benchmarks.costs.engine import BUILT_IN, UserLoad, measure, measure_at, server_core
from benchmarks.processes import BenchmarkError
from tests.dialects.programs import PROGRAMS
from tests.dialects.real_server import RealServer

if TYPE_CHECKING:
    from collections.abc import Sequence

LOAD = UserLoad(users=200, room_size=20, rate=1.0, goal_us=0)
OWN = "stampede"
DIALECTS = {
    "socketio": ("socket.io", ()),
    "signalr": ("signalr-text", ()),
    "actioncable": ("action-cable", ()),
    "stomp": ("rabbitmq", ()),
    "mqtt": ("mosquitto", ()),
    "docs/dialects/fastapi-chat.toml": ("fastapi", ()),
    "docs/dialects/django-channels-chat.toml": ("django-channels", ("--capacity", "1000")),
    "graphql-ws": ("graphql-ws", ()),
}
"""The server in `PROGRAMS` of each dialect, and its flags."""


def cpu_us(dialect: str, seconds: float) -> float:
    """Return the CPU of a delivery in us."""
    if dialect == OWN:
        return measure(LOAD, seconds).cpu_us
    name, flags = DIALECTS[dialect]
    program = PROGRAMS[name].server()
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        os.sched_setaffinity(0, {server_core()})  # the server inherits it
        try:
            server = RealServer(lambda port: [*program, "--port", str(port), *flags], Path(folder) / "log")
        finally:
            os.sched_setaffinity(0, cores)
        server.expects_problems = True  # of the load, which is not what is measured
        try:
            return measure_at(server.url, LOAD, seconds, (*BUILT_IN, "--dialect", dialect)).cpu_us
        finally:
            server.close()


def table(found: dict[str, list[float]]) -> str:
    """Return the medians of all rounds, and the ratios to our own protocol in the same rounds, as a Markdown table."""
    lines = ["| dialect | server | CPU per delivery | rounds | times stampede |", "|---|---|---|---|---|"]
    for dialect, costs in found.items():
        server = "the bundled one" if dialect == OWN else DIALECTS[dialect][0]
        ratios = [cost / own for cost, own in zip(costs, found[OWN], strict=True)]
        lines.append(
            f"| {Path(dialect).stem} | {server} | {median(costs):.1f} us | {min(costs):.1f}-{max(costs):.1f} us "
            f"| {median(ratios):.2f} |"
        )
    return "\n".join(lines)


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print the costs of all dialects, or of some."""
    parser = command_parser("tests.dialects.costs", __doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each dialect (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="window of a round (%(default)s)")
    parser.add_argument("--only", nargs="*", choices=DIALECTS, default=list(DIALECTS), help="these dialects")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.seconds <= 0:
        raise BenchmarkError("--rounds must be at least 1 and --seconds above 0")
    found: dict[str, list[float]] = {dialect: [] for dialect in (OWN, *options.only)}
    for _ in range(options.rounds):
        for dialect, costs in found.items():
            costs.append(cpu_us(dialect, options.seconds))
    print(f"{LOAD.users} users in rooms of {LOAD.room_size}, {LOAD.deliveries_per_s:,.0f} deliveries per second\n")
    print(table(found))


if __name__ == "__main__":
    sys.exit(main(None))
