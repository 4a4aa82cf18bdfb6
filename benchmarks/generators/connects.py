"""Compare how fast servers accept connections, with a connect storm in C: a load that shares no code with `make bench`.

.venv/bin/python -m benchmarks.generators.connects --rounds 5
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.command import command_parser, with_exit_code
from benchmarks.comparison.servers import OURS, SERVERS
from benchmarks.generators.commands import compiled, host_and_port
from benchmarks.generators.turns import in_turns, loaded, ratio
from benchmarks.load.connect_storm import CONCURRENT_HANDSHAKES, raise_open_file_limit
from benchmarks.processes import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Storm:
    """One connect storm: connections per second, and the server's CPU for each in us."""

    per_s: float
    cpu_us: float


def storm_command(url: str, clients: int, concurrent: int) -> list[str]:
    """Return the command of a storm, after compiling the program."""
    return [str(compiled("connects")), *host_and_port(url), str(clients), str(concurrent)]


def measure(key: str, clients: int) -> Storm:
    """Start a server, and connect so many clients to it.

    Raises:
        BenchmarkError: the server did not start, or refused a client.
    """
    out, used = loaded(key, lambda url: storm_command(url, clients, CONCURRENT_HANDSHAKES))
    return Storm(clients / json.loads(out)["seconds"], 1e6 * used / clients)


def table(found: Mapping[str, Sequence[Storm]]) -> str:
    """Return the medians, and the ratio of our rate to each server's in the same round, as a Markdown table."""
    lines = ["| server | connects/s | CPU of a connect | our rate over it |", "|---|---:|---:|---:|"]
    rates = {key: [storm.per_s for storm in storms] for key, storms in found.items()}
    for key, storms in found.items():
        lines.append(
            f"| {SERVERS[key].title} | {median(rates[key]):,.0f} "
            f"| {median(storm.cpu_us for storm in storms):.0f} us | {ratio(rates[OURS], rates[key])} |"
        )
    return "\n".join(lines)


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print the table."""
    parser = command_parser("benchmarks.generators.connects", __doc__)
    parser.add_argument("--clients", type=int, default=10_000, help="clients of a storm (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="storms of each server (%(default)s)")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.clients < 1:
        raise BenchmarkError("--rounds and --clients must be at least 1")
    raise_open_file_limit(options.clients)
    print(table(in_turns(options.rounds, lambda key: measure(key, options.clients))))


if __name__ == "__main__":
    sys.exit(main(None))
