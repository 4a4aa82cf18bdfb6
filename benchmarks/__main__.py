"""Compare servers: every workload on every server, in interleaved rounds, into one table.

    python -m benchmarks                                          everything, about half an hour
    python -m benchmarks --workloads big --servers bun --rounds 3  a part of it, within a minute

Servers take turns within a round, in the opposite order in every second one, each time as a fresh process on a CPU of
its own with the driver on another. Results are kept for each workload, so that parts add up to the whole.
"""

from __future__ import annotations

import argparse
import platform
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import report
from benchmarks.fanout import separate_cpus
from benchmarks.peers import CACHE, PeerError, running
from benchmarks.results import Outcome, Results, load
from benchmarks.roster import OURS, ROSTER
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.roster import Server
    from benchmarks.workloads import Workload

RESULTS: Final = CACHE.parent / "bench"


def measure(workload: Workload, servers: Sequence[Server], rounds: int, seconds: float) -> Results:
    """Measure the servers in turn, several times over; what fails in a round is that round's problem."""
    found = Results(workload.key, seconds, _machine())
    able = [server for server in servers if not workload.only or server.key in workload.only]
    for number in range(rounds):
        for server in able if number % 2 == 0 else reversed(able):
            try:
                figures, problem = workload.measure(server, seconds, separate_cpus())
            except (PeerError, OSError) as trouble:
                figures, problem = {}, str(trouble)
            found.outcomes.append(Outcome(server.key, number, figures, problem))
            _progress(workload, found.outcomes[-1], rounds)
    return found


def _progress(workload: Workload, outcome: Outcome, rounds: int) -> None:
    figures = [
        f"{outcome.figures[row.figure] * row.scale:{row.form}} {row.unit}"
        for row in workload.rows
        if row.figure in outcome.figures
    ]
    invalid = [f"invalid: {outcome.problem}"] if outcome.problem else []
    title = ROSTER[outcome.server].title
    print(f"{workload.key} {outcome.round + 1}/{rounds} {title}: {', '.join(figures + invalid)}", file=sys.stderr)


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return f"{cores} {'core' if cores == 1 else 'cores'}, {platform.system()}, Python {platform.python_version()}"


def _there(servers: Sequence[Server]) -> list[Server]:
    """Return the servers that start; tell of each that does not why it is left out."""
    there = []
    for server in servers:
        try:
            with tempfile.TemporaryDirectory() as folder, running(server.command(Path(folder))):
                there.append(server)
        except PeerError as problem:
            print(f"left out: {server.title}: {problem}", file=sys.stderr)
    return there


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison that the flags ask for; exit code 0, or 2 with one line for what is unusable."""
    options = _parser().parse_args(arguments)
    try:
        servers = _there([ROSTER[key] for key in ROSTER if key in {OURS, *options.servers}])
        for key in options.workloads:
            measure(WORKLOADS[key], servers, options.rounds, options.seconds).save(options.results)
        results = load(options.results, WORKLOADS)
        print(report.told(results))
    except (PeerError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--workloads", type=_names(WORKLOADS), default=list(WORKLOADS), metavar="A,B")
    parser.add_argument("--servers", type=_names(ROSTER), default=list(ROSTER), metavar="A,B")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    return parser


def _names(known):
    return lambda text: text.split(",")


if __name__ == "__main__":
    sys.exit(main())
