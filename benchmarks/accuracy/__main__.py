"""Compare whole capacity runs with known limits, and print a table; exit code 1 if one is wrong. Takes minutes.

    python -m benchmarks.accuracy known-limit [--repeat 5]   servers with a limit of 1 900, 3 800, 7 600 deliveries/s;
                                                             one that degrades, warms up, or loses its metrics
    python -m benchmarks.accuracy projection                 a limit projected from lower steps, then measured
    python -m benchmarks.accuracy repeat                     three runs of the bundled server, which must overlap
    python -m benchmarks.accuracy neighbour                  a busy process on the server's core during a run

`make` runs none of them. Use a quiet machine. With STAMPEDE_PROOFS=DIR the report of every run is kept in DIR.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.accuracy.limited_server import start_limited_server
from capacity.model.projection import project
from capacity.record.report import read_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.record.report import RunReport

WITHIN = 0.15
ROOM = 20


def capacity(*flags: str, meanwhile: Callable[[subprocess.Popen[str]], None] | None = None) -> tuple[int, RunReport]:
    """Run `python -m capacity`; keep its report in a new folder below `STAMPEDE_PROOFS`, if that is set."""
    kept = os.environ.get("STAMPEDE_PROOFS")
    with contextlib.ExitStack() as stack:
        if kept:
            Path(kept).mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(prefix=time.strftime("%H%M%S-"), dir=kept)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="stampede-accuracy-"))
        command = [sys.executable, "-m", "capacity", "--report", folder, "--runs", "", *flags]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
        thread = threading.Thread(target=meanwhile, args=(process,)) if meanwhile else None
        if thread:
            thread.start()
        process.communicate(timeout=900)
        if thread:
            thread.join()
        return process.returncode, read_report(Path(folder) / "report.json")


def print_row(name: str, truth: str, found: str, *, good: bool) -> bool:
    print(f"{'ok  ' if good else 'FAIL'}  {name:34} truth {truth:>10}   found {found}", flush=True)
    return good


def holds(report: RunReport, truth: float) -> tuple[bool, str]:
    """Return whether both ends of the interval are within the tolerance of the truth, and the interval as text."""
    low, high = report.answer.supported_users, report.answer.first_failing_users
    good = low is not None and high is not None and low <= truth * (1 + WITHIN) and high >= truth * (1 - WITHIN)
    near = (
        good and low is not None and high is not None and low >= truth * (1 - WITHIN) and high <= truth * (1 + WITHIN)
    )
    return near, f"{low} to {high} ({report.answer.ending}, {len(report.steps)} steps, {report.duration_s:.0f} s)"


SERVERS = {
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
    for name in SERVERS if only is None else set(SERVERS) & {only}:
        flags, truth = SERVERS[name]
        for i in range(repeat):
            with start_limited_server(*flags) as (url, _):
                _, report = capacity("--host", url, *quick)
            near, found = holds(report, truth)
            good &= print_row(f"{name}, run {i + 1}", f"{truth:.0f}", found, good=near)
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
    parser.add_argument("comparison", choices=["known-limit", "projection", "repeat", "neighbour"])
    parser.add_argument("--repeat", type=int, default=5, help="runs for each server of known-limit")
    parser.add_argument("--only", choices=[*SERVERS, "silent"], help="only this server of known-limit")
    parser.add_argument("--work", type=float, help="only this work per message for projection, in seconds")
    given = parser.parse_args()
    comparisons = {
        "known-limit": lambda: known_limit(given.repeat, given.only),
        "projection": lambda: projection([given.work] if given.work else [0.0005, 0.001, 0.002]),
        "repeat": repeat_runs,
        "neighbour": neighbour,
    }
    sys.exit(0 if comparisons[given.comparison]() else 1)


if __name__ == "__main__":
    main()
