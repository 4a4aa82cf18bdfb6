"""Compare servers: run every workload on every server, in interleaved rounds, and print one table.

    .venv/bin/python -m benchmarks                                           everything, about 20 minutes
    .venv/bin/python -m benchmarks --workloads big --servers bun --rounds 3  a part of it, within a minute

Servers take turns within a round, in reverse order in every second round. Each measurement starts a fresh server
process on one CPU and runs the driver on another. Results are saved for each workload, so that partial runs
add up. Once they are complete, the tables in the documents and the chart are updated.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.command import command_parser
from benchmarks.comparison import report
from benchmarks.comparison.chart import draw
from benchmarks.comparison.results import Outcome, Results, load
from benchmarks.comparison.servers import OURS, SERVERS
from benchmarks.comparison.workloads import WORKLOADS
from benchmarks.package_cache import CACHE
from benchmarks.processes import ROOT, BenchmarkError, running, separate_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.comparison.servers import Server
    from benchmarks.comparison.workloads import Workload

RESULTS: Final = CACHE.parent / "bench"
CHART: Final = "comparison.png"
_TRIES: Final = 2
_OVERHEAD_SECONDS: Final = 3.0
"""Estimated time of a server's start, the clients' connects and disconnects, and the warm-up."""


def measure(workload: Workload, servers: Sequence[Server], options: argparse.Namespace) -> None:
    """Measure the servers in turn for several rounds, and save each round; a failure makes only that outcome invalid.

    Args:
        workload: the workload to run.
        servers: the servers, in the order of the first round.
        options: number of rounds, length of a window, and folder of the results.
    """
    found = Results(workload.key, options.seconds, _machine())
    for number in range(options.rounds):
        able = [server for server in servers if number < _rounds(workload, server, options)]
        for server in able if number % 2 == 0 else reversed(able):
            found.outcomes.append(_try(workload, server, number, options.seconds))
            _print_outcome(workload, found.outcomes[-1], options.rounds)
        found.save(options.results)


def _rounds(workload: Workload, server: Server, options: argparse.Namespace) -> int:
    if workload.only and server.key not in workload.only:
        return 0
    rounds: int = options.rounds
    return rounds if server.key in report.SERVERS_WITH_GOALS else min(options.others, rounds)


def _try(workload: Workload, server: Server, number: int, seconds: float) -> Outcome:
    """Measure once, and a second time if the first is invalid: most often the machine was busy."""
    for _ in range(_TRIES):
        try:
            figures, problem = workload.measure(server, seconds, separate_cpus())
        except (BenchmarkError, OSError) as error:
            figures, problem = {}, str(error)
        if problem is None:
            break
    return Outcome(server.key, number, figures, problem)


def _print_outcome(workload: Workload, outcome: Outcome, rounds: int) -> None:
    parts = [report.measured(outcome.figures, row) for row in workload.rows if outcome.figures]
    if outcome.problem:
        parts.append(f"invalid: {outcome.problem}")
    title = SERVERS[outcome.server].title
    print(f"{workload.key} {outcome.round + 1}/{rounds} {title}: {', '.join(parts)}", file=sys.stderr)


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return f"{cores} {'core' if cores == 1 else 'cores'} ({platform.system()}, Python {platform.python_version()})"


def available(servers: Iterable[Server]) -> list[Server]:
    """Return the servers that start; print on stderr why each other one is left out."""
    found = []
    for server in servers:
        try:
            with tempfile.TemporaryDirectory() as folder, running(server.command(Path(folder))):
                found.append(server)
        except BenchmarkError as problem:
            print(f"left out: {server.title}: {problem}", file=sys.stderr)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; return 0, or 2 after one line on stderr for invalid input or results."""
    options = parser().parse_args(arguments)
    try:
        if not options.saved:
            _run(options)
        results = load(options.results, WORKLOADS)
        if not results:
            raise BenchmarkError(f"no results in {options.results}: run the comparison first")  # noqa: TRY301 - one place prints it
        print("\n\n".join((report.against_goals(results), report.side_by_side(results), report.method(results))))
        _publish(results, options.results, options.documents)
    except (BenchmarkError, OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    servers = available(SERVERS[key] for key in SERVERS if key in {OURS, *options.servers})
    turns = sum(_rounds(WORKLOADS[key], server, options) for key in options.workloads for server in servers)
    minutes = turns * (options.seconds + _OVERHEAD_SECONDS) / 60
    print(
        f"{turns} measurements, about {minutes:.0f} min; for fewer: --workloads, --servers, --rounds", file=sys.stderr
    )
    for key in options.workloads:
        measure(WORKLOADS[key], servers, options)


def _publish(results: Mapping[str, Results], folder: Path, documents: Path) -> None:
    """Draw the chart beside the results; if they are complete, also update the documents."""
    image = draw(results)
    (folder / CHART).write_bytes(image)
    missing = report.missing(results)
    if missing:
        print(f"The documents are not updated: {missing}.", file=sys.stderr)
        return
    method = report.method(results)
    report.replace_between_markers(documents / "README.md", f"{report.of_the_readme(results)}\n\n{method}")
    tables = f"{report.against_goals(results)}\n\n{report.side_by_side(results)}"
    report.replace_between_markers(documents / "benchmarks" / "README.md", f"{tables}\n\n{method}")
    (documents / "benchmarks" / CHART).write_bytes(image)


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    flags = command_parser("benchmarks", __doc__)
    flags.add_argument(
        "--workloads", type=_some(WORKLOADS), default=list(WORKLOADS), metavar="A,B", help=f"of {','.join(WORKLOADS)}"
    )
    flags.add_argument(
        "--servers",
        type=_some(SERVERS),
        default=list(SERVERS),
        metavar="A,B",
        help=f"in addition to ours, of {','.join(key for key in SERVERS if key != OURS)}",
    )
    flags.add_argument("--rounds", type=_at_least_one, default=5, help="rounds of each workload (%(default)s)")
    flags.add_argument(
        "--others", type=_at_least_one, default=2, help="rounds of the servers without a goal (%(default)s)"
    )
    flags.add_argument("--seconds", type=_seconds, default=2.0, help="window of a measurement (%(default)s)")
    flags.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="folder of results (%(default)s)")
    flags.add_argument("--saved", action="store_true", help="measure nothing: print the saved results")
    flags.add_argument("--documents", type=Path, default=ROOT, help=argparse.SUPPRESS)
    return flags


def _some(known: Iterable[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(known)}")
        return names

    return parse


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    # The clients answer no pings, and a server may close such a connection after 30 s.
    try:
        if 0 < float(text) <= 20:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and at most 20")


def _end(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt  # so that the servers are stopped first


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # complete rounds are saved
