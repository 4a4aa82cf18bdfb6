"""Compare how fast servers accept connections, with a connect storm in C: a load that shares no code with `make bench`.

.venv/bin/python -m benchmarks.generators.connects --rounds 5
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.command import command_parser, with_exit_code
from benchmarks.comparison.servers import BUN, NODE_WS, OURS, SERVERS
from benchmarks.generators.commands import compiled
from benchmarks.load.connect_storm import CONCURRENT_HANDSHAKES, raise_open_file_limit
from benchmarks.processes import BenchmarkError, cpu_seconds, pinned, running, separate_cpus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COMPARED: Final = (OURS, BUN, NODE_WS)


@dataclass(frozen=True, slots=True)
class Storm:
    """One connect storm: connections per second, and the server's CPU for each in us."""

    per_s: float
    cpu_us: float


def measure(key: str, clients: int) -> Storm:
    """Start a server, and connect so many clients to it.

    Raises:
        BenchmarkError: the server did not start, or refused a client.
    """
    cpus = separate_cpus()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(SERVERS[key].command(Path(folder)), cpus[0] if cpus else None) as server,
        pinned(cpus[1] if cpus else None),
    ):
        host, _, port = server.url.removeprefix("ws://").rpartition(":")
        command = [str(compiled("connects")), host, port, str(clients), str(CONCURRENT_HANDSHAKES)]
        before = cpu_seconds(server.process.pid)
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
        if done.returncode:
            raise BenchmarkError(f"{SERVERS[key].title}: {done.stderr.strip()}")
        used = cpu_seconds(server.process.pid) - before
    return Storm(clients / json.loads(done.stdout)["seconds"], 1e6 * used / clients)


def table(found: Mapping[str, Sequence[Storm]]) -> str:
    """Return the medians, and the ratio of our rate to each server's in the same round, as a Markdown table."""
    lines = ["| server | connects/s | CPU of a connect | our rate over it |", "|---|---:|---:|---:|"]
    for key, storms in found.items():
        ratios = sorted(ours.per_s / other.per_s for ours, other in zip(found[OURS], storms, strict=True))
        lines.append(
            f"| {SERVERS[key].title} | {median(storm.per_s for storm in storms):,.0f} "
            f"| {median(storm.cpu_us for storm in storms):.0f} us "
            f"| {median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) |"
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
    found: dict[str, list[Storm]] = {key: [] for key in _COMPARED}
    for _ in range(options.rounds):
        for key in _COMPARED:
            found[key].append(measure(key, options.clients))
    print(table(found))


if __name__ == "__main__":
    sys.exit(main(None))
