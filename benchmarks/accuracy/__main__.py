"""Compare whole capacity runs with known limits, and print a table; exit code 1 if one is wrong. Takes minutes.

    python -m benchmarks.accuracy [--servers socketio,...]   servers of three other projects, and ours: each with three
                                                             limits by CPU time, or by a rate of messages
    python -m benchmarks.accuracy known-limit [--repeat 5]   servers with a limit of 1 900, 3 800, 7 600 deliveries/s;
                                                             one that degrades, warms up, or loses its metrics
    python -m benchmarks.accuracy projection                 a limit projected from lower steps, then measured
    python -m benchmarks.accuracy repeat                     three runs of the bundled server, which must overlap
    python -m benchmarks.accuracy neighbour                  a busy process on the server's core during a run

`make` runs none of them. Use a quiet machine. With STAMPEDE_PROOFS=DIR the report of every run is kept in DIR.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.accuracy.limited_server import start_limited_server
from benchmarks.accuracy.runs import WITHIN, capacity, is_near, print_row
from benchmarks.accuracy.server_table import compare_servers
from benchmarks.accuracy.servers import SERVERS, LimitKind
from benchmarks.processes import BenchmarkError
from capacity.model.projection import project

if TYPE_CHECKING:
    from capacity.record.report import RunReport

ROOM = 20


def describe(report: RunReport) -> str:
    """Return the interval of a run, and how it was found."""
    low, high = report.answer.supported_users, report.answer.first_failing_users
    return f"{low} to {high} ({report.answer.ending}, {len(report.steps)} steps, {report.duration_s:.0f} s)"


LIMITED = {
    "1900": (("--limit", "1900"), 1900 / (ROOM - 1)),
    "3800": (("--limit", "3800"), 3800 / (ROOM - 1)),
    "7600": (("--limit", "7600"), 7600 / (ROOM - 1)),
    "degrades": (("--limit", "3800", "--kind", "degrades"), 0.8 * 3800 / (ROOM - 1)),
    "warms": (("--limit", "3800", "--kind", "warms"), 3800 / (ROOM - 1)),
}
"""Options of the limited servers, and the users at which each reaches its limit."""


def known_limit(repeat: int, only: str | None) -> bool:
    """Compare the interval with servers of known limits."""
    quick = ("--users-min", "30", "--window", "4", "--settle", "3", "--max-duration", "150")
    good = True
    for name in LIMITED if only is None else set(LIMITED) & {only}:
        flags, truth = LIMITED[name]
        for i in range(repeat):
            with start_limited_server(*flags) as (url, _):
                _, report = capacity("--host", url, *quick)
            good &= print_row(f"{name}, run {i + 1}", f"{truth:.0f}", describe(report), good=is_near(report, truth))
    for i in range(repeat if only in (None, "silent") else 0):
        with start_limited_server("--limit", "50000", "--silent-after", "12") as (url, _):
            code, report = capacity("--host", url, "--steps", "40,40,40,40", "--window", "3", "--settle", "2")
        verdicts = [step.verdict for step in report.steps]
        silent = verdicts[0] == "pass" and verdicts[-1] == "invalid"
        good &= print_row(
            f"falls silent, run {i + 1}", "invalid", f"{', '.join(verdicts)}; exit code {code}", good=silent
        )
    return good


def projection(works: list[float]) -> bool:
    """Project the limit from lower steps, and compare it with a measured one."""
    good = True
    for work in works:
        top = 1 / (work + 0.00015)  # about the users at a full core; the steps are spread evenly below
        steps = [round(top * share / ROOM) * ROOM for share in (0.1, 0.2, 0.3, 0.4, 0.5)]
        flags = ("--work-per-message", f"{work:g}")
        _, lower = capacity(*flags, "--steps", ",".join(map(str, steps)), "--window", "5")
        predicted = project(lower.steps)
        first = str(max(ROOM, round(0.6 * top / ROOM) * ROOM))
        _, whole = capacity(*flags, "--users-min", first, "--window", "5", "--max-duration", "140")
        low, high = whole.answer.supported_users, whole.answer.first_failing_users
        name = f"work {work * 1e6:.0f} us, steps {steps[0]}-{steps[-1]}"
        if predicted is None or low is None or high is None:
            good &= print_row(
                name, f"{low} to {high}", f"no projection or no limit: {whole.answer.sentence}", good=False
            )
            continue
        measured = (low + high) / 2
        near = abs(predicted.users / measured - 1) <= WITHIN
        found = f"{predicted.users} ({predicted.low}-{predicted.high}), {predicted.users / measured - 1:+.1%}"
        good &= print_row(
            name, f"{low} to {high}", f"{found}{f'; {predicted.warning}' if predicted.warning else ''}", good=near
        )
    return good


def repeat_runs() -> bool:
    """Run the bundled server three times; the intervals must overlap."""
    reports = [capacity("--work-per-message", "0.0005", "--users-min", "400")[1] for _ in range(3)]
    lows = [report.answer.supported_users or 0 for report in reports]
    highs = [report.answer.first_failing_users or 10**9 for report in reports]
    found = "; ".join(f"{low} to {high}" for low, high in zip(lows, highs, strict=True))
    return print_row("three runs overlap", "-", found, good=max(lows) < min(highs))


def neighbour() -> bool:
    """Put a busy process on the server's core during a run."""
    core = max(os.sched_getaffinity(0))

    def disturb(_process: subprocess.Popen[str]) -> None:
        time.sleep(25)
        burn = f"import os,time\nos.sched_setaffinity(0,{{{core}}})\nend=time.time()+30\nwhile time.time()<end: pass"
        subprocess.run([sys.executable, "-c", burn], check=True)  # noqa: S603 - the code above

    steps = ",".join(["900"] * 8)
    _, report = capacity("--work-per-message", "0.0005", "--steps", steps, "--window", "4", meanwhile=disturb)
    verdicts = [step.verdict for step in report.steps]
    taken = [step for step in report.steps if (step.server_core_foreign or 0) >= 0.2]
    said = all(step.verdict == "invalid" or step.notes for step in taken)
    blamed = [step for step in report.steps if step.verdict == "fail" and not step.notes]
    found = f"{', '.join(verdicts)}; {len(taken)} disturbed steps; {report.answer.disturbance}"
    return print_row("a busy neighbour", "is named", found, good=bool(taken) and said and not blamed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    comparisons = ["servers", "known-limit", "projection", "repeat", "neighbour"]
    parser.add_argument("comparison", choices=comparisons, nargs="?", default="servers")
    parser.add_argument("--servers", type=names, default=[*SERVERS], help="only these servers, separated by commas")
    parser.add_argument("--kinds", type=kinds, default=[*LimitKind], help="only this kind of limit: work or rate")
    parser.add_argument(
        "--values", type=numbers, default=[], help="other values of this kind: milliseconds or messages/s"
    )
    parser.add_argument("--repeat", type=int, default=5, help="runs for each server of known-limit")
    parser.add_argument("--only", choices=[*LIMITED, "silent"], help="only this server of known-limit")
    parser.add_argument("--work", type=float, help="only this work per message for projection, in seconds")
    given = parser.parse_args()
    if given.values and len(given.kinds) > 1:
        parser.error("--values are those of one kind: add --kinds work or --kinds rate")
    run = {
        "servers": lambda: compare_servers(given.servers, given.kinds, given.values),
        "known-limit": lambda: known_limit(given.repeat, given.only),
        "projection": lambda: projection([given.work] if given.work else [0.0005, 0.001, 0.002]),
        "repeat": repeat_runs,
        "neighbour": neighbour,
    }
    try:
        sys.exit(0 if run[given.comparison]() else 1)
    except BenchmarkError as problem:
        sys.exit(str(problem))


def names(text: str) -> list[str]:
    """Return the servers that an option names."""
    found = text.split(",")
    if unknown := set(found) - set(SERVERS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is none of {', '.join(SERVERS)}")
    return found


def kinds(text: str) -> list[LimitKind]:
    return [LimitKind(one) for one in text.split(",")]


def numbers(text: str) -> list[float]:
    return [float(one) for one in text.split(",")]


if __name__ == "__main__":
    main()
