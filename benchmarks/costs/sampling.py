"""Compare timing a sample of the users, as capacity runs do, with timing everyone: CPU and percentiles.

    .venv/bin/python -m benchmarks.costs.sampling --rounds 5

CPU: a load runs against a new server, with everyone timed and with a sample timed. Each process has its own CPU. The
generator's CPU per delivery is divided by the server's in the same window.

Percentiles: in one run, everyone and a tenth are timed in turns (`alternating_user.py`). The percentiles of everyone
are compared with those of the drawn tenth in the same turns, which shows whether the draw is fair, and with those of
the tenth while the others are read in batches, which shows what batches change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.command import command_parser, with_exit_code
from benchmarks.costs.engine import UserLoad, measure_at, server_core
from benchmarks.costs.populations import BATCHED, EVERYONE, OF_THEM
from benchmarks.processes import ROOT, BenchmarkError, pinned, running, stampede_command
from capacity.config.load_options import DEFAULT_TIMED_SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOAD: Final = UserLoad(3000, 20, 1.0, 0)
PERCENTILE_LOAD: Final = UserLoad(1500, 20, 1.0, 0)
CPU_GOAL: Final = 0.6
TOLERANCE: Final = 0.05
TOLERANCE_MS: Final = 0.3
TURNS: Final = 6

_EVERYONE: Final = ("loadtest", "ChattingUser")
_SAMPLE: Final = (*_EVERYONE, "--timed-share", DEFAULT_TIMED_SHARE)
_QUANTILES: Final = ("p50", "p90", "p99")


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


def percentiles(seconds: int) -> dict[str, list[float]]:
    """Return p50, p90 and p99 in ms of each population in `alternating_user.py`, all in one run."""
    with tempfile.TemporaryDirectory() as folder:
        command = stampede_command("--upload-dir", folder, "--log-level", "error", "--handshake-rate", "0")
        with running(command, server_core()) as server, pinned(min(os.sched_getaffinity(0))):
            return _run_turns(server.url, seconds)


def _run_turns(url: str, seconds: int) -> dict[str, list[float]]:
    load = PERCENTILE_LOAD
    command = [
        *(sys.executable, "-m", "locust", "-f", "benchmarks/costs/alternating_user.py", "--headless", "--only-summary"),
        *("--loglevel", "ERROR", "--host", url, "-u", str(load.users), "-r", str(load.users), "-t", f"{seconds}s"),
        *("--room-size", str(load.room_size), "--message-rate", str(load.rate), "--timed-share", "0.1"),
    ]
    run = subprocess.run(  # noqa: S603 - our own command
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    for line in run.stdout.splitlines():
        if line.startswith('{"' + EVERYONE):
            found: dict[str, list[float]] = json.loads(line)
            if BATCHED in found:
                return found
    raise BenchmarkError(f"the run ended before both turns were over: {run.stderr[-300:]}")


def agreement(runs: Sequence[dict[str, list[float]]], who: str) -> Iterator[str]:
    """Yield a line for each percentile: the medians of `who` and of everyone, and how many runs agree."""
    for index, name in enumerate(_QUANTILES):
        sampled, full = ([run[side][index] for run in runs] for side in (who, EVERYONE))
        agree = sum(abs(a - b) <= max(TOLERANCE * b, TOLERANCE_MS) for a, b in zip(sampled, full, strict=True))
        yield (
            f"{name}: {median(sampled):.2f} ms of a tenth, {median(full):.2f} ms of everyone; {agree} of {len(runs)} "
            f"runs within {TOLERANCE:.0%} or {TOLERANCE_MS} ms"
        )


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print both comparisons."""
    parser = command_parser("benchmarks.costs.sampling", __doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (%(default)s)")
    parser.add_argument("--seconds", type=int, default=15, help="seconds of a round (%(default)s)")
    options = parser.parse_args(arguments)
    found: dict[str, list[Ratio]] = {"everyone": [], "a sample": []}
    for _ in range(options.rounds):
        for who, users in (("everyone", _EVERYONE), ("a sample", _SAMPLE)):
            found[who].append(cpu_ratio(users, options.seconds))
    for who, ratios in found.items():
        values = sorted(ratio.value for ratio in ratios)
        print(
            f"{who} timed: generator {median(ratio.generator_us for ratio in ratios):.1f} us a delivery, server "
            f"{median(ratio.server_us for ratio in ratios):.1f} us; ratio {median(values):.2f} "
            f"({values[0]:.2f}-{values[-1]:.2f}{f', goal {CPU_GOAL}' if who == 'a sample' else ''})"
        )
    runs = [percentiles(5 + 6 * TURNS) for _ in range(options.rounds)]
    for who, title in ((OF_THEM, "in the same turns"), (BATCHED, "while the others are read in batches")):
        print(f"percentiles {title}:")
        for line in agreement(runs, who):
            print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main(None))
