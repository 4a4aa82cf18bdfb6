"""Compare timing a tenth of the users with timing everyone: the generator's CPU, and the percentiles.

    .venv/bin/python -m benchmarks.costs.sampling --rounds 5

CPU: a load runs against a new server, with everyone timed and with a tenth timed. Each process has its own CPU. The
generator's CPU per delivery is divided by the server's in the same window.

Percentiles: two generators load one server at the same time, one of them with everyone timed. The server, its load and
the machine are the same for both.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.command import command_parser, with_exit_code
from benchmarks.costs.engine import UserLoad, measure_at, server_core
from benchmarks.processes import ROOT, BenchmarkError, pinned, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOAD: Final = UserLoad(3000, 20, 1.0, 0)
HALF: Final = UserLoad(1500, 20, 0.5, 0)
CPU_GOAL: Final = 0.6
TOLERANCE: Final = 0.05
TOLERANCE_MS: Final = 0.3

_EVERYONE: Final = ("loadtest", "ChattingUser")
_TENTH: Final = (*_EVERYONE, "--timed-share", "0.1")
_QUANTILES: Final = ("p50", "p90", "p99")
_LATENCY: Final = re.compile(r"latency +from intended send +p50 ([\d.]+) (\S+) +p90 ([\d.]+) (\S+) +p99 ([\d.]+) (\S+)")
_UNITS_MS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class Ratio(NamedTuple):
    """CPU per delivery in us of the generator and of the server, in one window."""

    generator_us: float
    server_us: float

    @property
    def value(self) -> float:
        """The generator's CPU relative to the server's."""
        return self.generator_us / self.server_us


def cpu_ratio(users: Sequence[str], seconds: float) -> Ratio:
    """Run the load once, and measure both processes."""
    with tempfile.TemporaryDirectory() as folder:
        command = stampede_command("--upload-dir", folder, "--log-level", "error", "--handshake-rate", "0")
        with running(command, server_core()) as server:
            cost = measure_at(server.url, LOAD, seconds, users, server.process.pid)
            return Ratio(cost.cpu_us, cost.server_us)


def percentiles(seconds: int) -> tuple[list[float], list[float]]:
    """Return p50, p90 and p99 in ms, of a tenth of the users and of everyone, in two runs at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        command = stampede_command("--upload-dir", folder, "--log-level", "error", "--handshake-rate", "0")
        with running(command, server_core()) as server, pinned(min(os.sched_getaffinity(0))):
            runs = [_start(server.url, users, seconds) for users in (_TENTH, _EVERYONE)]
            tenth, everyone = (_latencies(run.communicate()[0]) for run in runs)
    return tenth, everyone


def _start(url: str, users: Sequence[str], seconds: int) -> subprocess.Popen[str]:
    command = [
        *(sys.executable, "-m", "locust", "-f", *users, "--headless", "--only-summary", "--loglevel", "ERROR"),
        *("--reset-stats", "--host", url, "-u", str(HALF.users), "-r", str(HALF.users), "-t", f"{seconds}s"),
        *("--room-size", str(HALF.room_size), "--message-rate", str(HALF.rate)),
    ]
    return subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _latencies(summary: str) -> list[float]:
    found = _LATENCY.search(summary)
    if found is None:
        raise BenchmarkError("a run printed no latency")
    words = found.groups()
    return [float(value) * _UNITS_MS[unit] for value, unit in zip(words[::2], words[1::2], strict=True)]


def agreement(pairs: Sequence[tuple[list[float], list[float]]]) -> Iterator[str]:
    """Yield a line for each percentile: the medians of both runs, and whether every pair agrees."""
    for index, name in enumerate(_QUANTILES):
        sampled, full = ([pair[side][index] for pair in pairs] for side in (0, 1))
        agree = sum(abs(a - b) <= max(TOLERANCE * b, TOLERANCE_MS) for a, b in zip(sampled, full, strict=True))
        yield (
            f"{name}: {median(sampled):.2f} ms of a tenth, {median(full):.2f} ms of everyone; {agree} of {len(pairs)} "
            f"pairs within {TOLERANCE:.0%} or {TOLERANCE_MS} ms"
        )


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print both comparisons."""
    parser = command_parser("benchmarks.costs.sampling", __doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (%(default)s)")
    parser.add_argument("--seconds", type=int, default=15, help="seconds of a round (%(default)s)")
    options = parser.parse_args(arguments)
    found: dict[str, list[Ratio]] = {"everyone": [], "a tenth": []}
    for _ in range(options.rounds):
        for who, users in (("everyone", _EVERYONE), ("a tenth", _TENTH)):
            found[who].append(cpu_ratio(users, options.seconds))
    for who, ratios in found.items():
        values = sorted(ratio.value for ratio in ratios)
        print(
            f"{who} timed: generator {median(ratio.generator_us for ratio in ratios):.1f} us a delivery, server "
            f"{median(ratio.server_us for ratio in ratios):.1f} us; ratio {median(values):.2f} "
            f"({values[0]:.2f}-{values[-1]:.2f}{f', goal {CPU_GOAL}' if who == 'a tenth' else ''})"
        )
    for line in agreement([percentiles(2 * options.seconds) for _ in range(options.rounds)]):
        print(line)


if __name__ == "__main__":
    sys.exit(main(None))
