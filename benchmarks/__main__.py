"""Compare servers: every workload on every server, in interleaved rounds, into one table.

    .venv/bin/python -m benchmarks                                           everything, about 20 minutes
    .venv/bin/python -m benchmarks --workloads big --servers bun --rounds 3  a part of it, within a minute

Servers take turns within a round, in the opposite order in every second one, each time as a fresh process on a CPU of
its own with the driver on another. Results are kept for each workload, so that parts add up to the whole; once they are
whole, the tables in the documents and the picture are made of them.
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

from benchmarks import report
from benchmarks.chart import draw
from benchmarks.fanout import separate_cpus
from benchmarks.peers import CACHE, ROOT, PeerError, running
from benchmarks.results import Outcome, Results, load
from benchmarks.roster import OURS, ROSTER
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.roster import Server
    from benchmarks.workloads import Workload

RESULTS: Final = CACHE.parent / "bench"
PICTURE: Final = "comparison.png"
_TRIES: Final = 2
_OVERHEAD_SECONDS: Final = 3.0
"""Roughly what a server's start, its clients' coming and going, and the warm-up take."""


def measure(workload: Workload, servers: Sequence[Server], options: argparse.Namespace) -> None:
    """Measure the servers in turn, several times over, and keep each round; what fails in one is its problem.

    Args:
        workload: what is done.
        servers: in the order of the first round.
        options: how many rounds, how long, and where they are kept.
    """
    found = Results(workload.key, options.seconds, _machine())
    for number in range(options.rounds):
        able = [server for server in servers if number < _rounds(workload, server, options)]
        for server in able if number % 2 == 0 else reversed(able):
            found.outcomes.append(_try(workload, server, number, options.seconds))
            _tell(workload, found.outcomes[-1], options.rounds)
        found.save(options.results)


def _rounds(workload: Workload, server: Server, options: argparse.Namespace) -> int:
    if workload.only and server.key not in workload.only:
        return 0
    rounds: int = options.rounds
    return rounds if server.key in report.MEASURED_BY else min(options.others, rounds)


def _try(workload: Workload, server: Server, number: int, seconds: float) -> Outcome:
    """Measure once, and again while it is invalid: most often the machine did something else meanwhile."""
    for _ in range(_TRIES):
        try:
            figures, problem = workload.measure(server, seconds, separate_cpus())
        except (PeerError, OSError) as trouble:
            figures, problem = {}, str(trouble)
        if problem is None:
            break
    return Outcome(server.key, number, figures, problem)


def _tell(workload: Workload, outcome: Outcome, rounds: int) -> None:
    parts = [f"{report.shown(outcome.figures[row.figure], row)} {row.unit}" for row in workload.rows if outcome.figures]
    if outcome.problem:
        parts.append(f"invalid: {outcome.problem}")
    title = ROSTER[outcome.server].title
    print(f"{workload.key} {outcome.round + 1}/{rounds} {title}: {', '.join(parts)}", file=sys.stderr)


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return f"{cores} {'core' if cores == 1 else 'cores'} ({platform.system()}, Python {platform.python_version()})"


def there(servers: Iterable[Server]) -> list[Server]:
    """Return the servers that start; tell of each that does not why it is left out."""
    found = []
    for server in servers:
        try:
            with tempfile.TemporaryDirectory() as folder, running(server.command(Path(folder))):
                found.append(server)
        except PeerError as problem:
            print(f"left out: {server.title}: {problem}", file=sys.stderr)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison that the flags ask for; exit code 0, or 2 with one line for what is unusable."""
    options = parser().parse_args(arguments)
    try:
        if not options.saved:
            _run(options)
        results = load(options.results, WORKLOADS)
        if not results:
            raise PeerError(f"nothing has been measured yet: {options.results} holds no results")  # noqa: TRY301 - one place tells it
        print("\n\n".join((report.against_goals(results), report.side_by_side(results), report.how(results))))
        _publish(results, options.results, options.documents)
    except (PeerError, OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    servers = there(ROSTER[key] for key in ROSTER if key in {OURS, *options.servers})
    turns = sum(_rounds(WORKLOADS[key], server, options) for key in options.workloads for server in servers)
    minutes = turns * (options.seconds + _OVERHEAD_SECONDS) / 60
    print(f"{turns} measurements, about {minutes:.0f} min; a part: --workloads, --servers, --rounds", file=sys.stderr)
    for key in options.workloads:
        measure(WORKLOADS[key], servers, options)


def _publish(results: Mapping[str, Results], folder: Path, documents: Path) -> None:
    """Make the picture beside the results; of whole results the documents' tables and picture, too."""
    picture = draw(results)
    (folder / PICTURE).write_bytes(picture)
    missing = report.missing(results)
    if missing:
        print(f"The documents stay as they are: {missing}.", file=sys.stderr)
        return
    goals, all_of_them = report.against_goals(results), report.side_by_side(results)
    report.put(documents / "README.md", f"{goals}\n\n{report.how(results)}")
    report.put(documents / "benchmarks" / "README.md", f"{all_of_them}\n\n{report.how(results)}")
    (documents / "benchmarks" / PICTURE).write_bytes(picture)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the flags."""
    flags = argparse.ArgumentParser(prog=f"{sys.orig_argv[0]} -m benchmarks", description=__doc__.partition("\n")[0])
    flags.add_argument(
        "--workloads", type=_some(WORKLOADS), default=list(WORKLOADS), metavar="A,B", help=f"of {','.join(WORKLOADS)}"
    )
    flags.add_argument(
        "--servers",
        type=_some(ROSTER),
        default=list(ROSTER),
        metavar="A,B",
        help=f"beside ours, of {','.join(key for key in ROSTER if key != OURS)}",
    )
    flags.add_argument("--rounds", type=_at_least_one, default=5, help="rounds of each workload (%(default)s)")
    flags.add_argument(
        "--others", type=_at_least_one, default=2, help="rounds of the servers that no goal speaks of (%(default)s)"
    )
    flags.add_argument("--seconds", type=_seconds, default=2.0, help="window of a measurement (%(default)s)")
    flags.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where they are kept (%(default)s)")
    flags.add_argument("--saved", action="store_true", help="measure nothing: show what is kept")
    flags.add_argument("--documents", type=Path, default=ROOT, help=argparse.SUPPRESS)
    return flags


def _some(known: Iterable[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        strange = [name for name in names if name not in known]
        if strange:
            raise argparse.ArgumentTypeError(f"{strange[0]!r} is none of {', '.join(known)}")
        return names

    return parse


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    # A server may drop a client that leaves its ping unanswered, after 30 s at the earliest.
    try:
        if 0 < float(text) <= 20:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and at most 20")


def _end(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt  # told to end, the servers have to be ended first


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # what was measured whole is kept
