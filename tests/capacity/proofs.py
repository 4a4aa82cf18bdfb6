"""Proofs that take minutes: the capacity run against known truths, printed as a table; exit code 1 when one fails.

    python -m tests.capacity.proofs known-limit [--repeat 5]   peers with a limit of 1 900, 3 800, 7 600 deliveries/s;
                                                               one that degrades, warms up, falls silent
    python -m tests.capacity.proofs projection                 projected from the lower half of the steps, then measured
    python -m tests.capacity.proofs repeat                     three runs against the bundled server: do they overlap?
    python -m tests.capacity.proofs neighbour                  a busy process on the server's core in mid-run

`make` starts none of them; measure on a quiet machine. With STAMPEDE_PROOFS=DIR every run's report stays there.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from capacity.model.projection import project
from capacity.record.report import read_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from capacity.record.report import RunReport

WITHIN = 0.15
ROOM = 20


@contextlib.contextmanager
def peer(*flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the limited peer; yield its URL and its process."""
    command = [sys.executable, "-m", "tests.promises.limited_peer", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"ws://\S+", process.stdout.readline())
        assert found is not None, "the peer did not start"
        yield found[0], process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def capacity(*flags: str, meanwhile: Callable[[subprocess.Popen[str]], None] | None = None) -> tuple[int, RunReport]:
    """Run `python -m capacity` to its end; its report stays in a new folder of `STAMPEDE_PROOFS`, where that is set."""
    kept = os.environ.get("STAMPEDE_PROOFS")
    with contextlib.ExitStack() as stack:
        if kept:
            Path(kept).mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(prefix=time.strftime("%H%M%S-"), dir=kept)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="stampede-proof-"))
        command = [sys.executable, "-m", "capacity", "--report", folder, "--runs", "", *flags]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        thread = threading.Thread(target=meanwhile, args=(process,)) if meanwhile else None
        if thread:
            thread.start()
        process.communicate(timeout=900)
        if thread:
            thread.join()
        return process.returncode, read_report(Path(folder) / "report.json")


def told(name: str, truth: str, found: str, *, good: bool) -> bool:
    print(f"{'ok  ' if good else 'FAIL'}  {name:34} truth {truth:>10}   found {found}", flush=True)
    return good


def holds(report: RunReport, truth: float) -> tuple[bool, str]:
    """Tell whether the interval holds the truth, give or take the tolerance."""
    low, high = report.answer.supported_users, report.answer.first_failing_users
    good = low is not None and high is not None and low <= truth * (1 + WITHIN) and high >= truth * (1 - WITHIN)
    near = (
        good and low is not None and high is not None and low >= truth * (1 - WITHIN) and high <= truth * (1 + WITHIN)
    )
    return near, f"{low} to {high} ({report.answer.ending}, {len(report.steps)} steps, {report.duration_s:.0f} s)"


PEERS = {
    "1900": (("--limit", "1900"), 1900 / (ROOM - 1)),
    "3800": (("--limit", "3800"), 3800 / (ROOM - 1)),
    "7600": (("--limit", "7600"), 7600 / (ROOM - 1)),
    "degrades": (("--limit", "3800", "--kind", "degrades"), 0.8 * 3800 / (ROOM - 1)),
    "warms": (("--limit", "3800", "--kind", "warms"), 3800 / (ROOM - 1)),
}
"""Flags of the peers with a limit, and the users at which each of them reaches it."""


def known_limit(repeat: int, only: str | None) -> bool:
    """Hold the interval against peers whose limit is known."""
    quick = ("--users-min", "30", "--window", "4", "--settle", "3", "--max-duration", "150")
    good = True
    for name in PEERS if only is None else set(PEERS) & {only}:
        flags, truth = PEERS[name]
        for i in range(repeat):
            with peer(*flags) as (url, _):
                _, report = capacity("--host", url, *quick)
            near, found = holds(report, truth)
            good &= told(f"{name}, run {i + 1}", f"{truth:.0f}", found, good=near)
    for i in range(repeat if only in (None, "silent") else 0):
        with peer("--limit", "50000", "--silent-after", "12") as (url, _):
            code, report = capacity("--host", url, "--steps", "40,40,40,40", "--window", "3", "--settle", "2")
        verdicts = [step.verdict for step in report.steps]
        silent = verdicts[0] == "pass" and verdicts[-1] == "invalid"
        good &= told(f"falls silent, run {i + 1}", "invalid", f"{', '.join(verdicts)}; exit code {code}", good=silent)
    return good


def projection(works: list[float]) -> bool:
    """Predict the limit from the lower half of the steps, and compare with the limit that the same run measures."""
    good = True
    for work in works:
        top = 1 / (work + 0.00015)  # about where the core is full, so that the steps are spread evenly below it
        steps = [round(top * share / ROOM) * ROOM for share in (0.1, 0.2, 0.3, 0.4, 0.5)]
        flags = ("--work-per-message", f"{work:g}")
        _, lower = capacity(*flags, "--steps", ",".join(map(str, steps)), "--window", "5")
        predicted = project(lower.steps)
        first = str(max(ROOM, round(0.6 * top / ROOM) * ROOM))
        _, whole = capacity(*flags, "--users-min", first, "--window", "5", "--max-duration", "140")
        low, high = whole.answer.supported_users, whole.answer.first_failing_users
        name = f"work {work * 1e6:.0f} us, steps {steps[0]}-{steps[-1]}"
        if predicted is None or low is None or high is None:
            good &= told(name, f"{low} to {high}", f"no projection or no limit: {whole.answer.sentence}", good=False)
            continue
        measured = (low + high) / 2
        near = abs(predicted.users / measured - 1) <= WITHIN
        found = f"{predicted.users} ({predicted.low}-{predicted.high}), {predicted.users / measured - 1:+.1%}"
        good &= told(
            name, f"{low} to {high}", f"{found}{f'; {predicted.warning}' if predicted.warning else ''}", good=near
        )
    return good


def repeat_runs() -> bool:
    """Ask the bundled server three times; the intervals must overlap."""
    reports = [capacity("--work-per-message", "0.0005", "--users-min", "400")[1] for _ in range(3)]
    lows = [report.answer.supported_users or 0 for report in reports]
    highs = [report.answer.first_failing_users or 10**9 for report in reports]
    found = "; ".join(f"{low} to {high}" for low, high in zip(lows, highs, strict=True))
    return told("three runs overlap", "-", found, good=max(lows) < min(highs))


def neighbour() -> bool:
    """Put a busy process on the server's core in mid-run."""
    core = max(os.sched_getaffinity(0))

    def disturb(_process: subprocess.Popen[str]) -> None:
        time.sleep(25)
        burn = f"import os,time\nos.sched_setaffinity(0,{{{core}}})\nend=time.time()+30\nwhile time.time()<end: pass"
        subprocess.run([sys.executable, "-c", burn], check=True)

    steps = ",".join(["900"] * 8)
    _, report = capacity("--work-per-message", "0.0005", "--steps", steps, "--window", "4", meanwhile=disturb)
    verdicts = [step.verdict for step in report.steps]
    taken = [step for step in report.steps if (step.server_core_foreign or 0) >= 0.2]
    said = all(step.verdict == "invalid" or step.notes for step in taken)
    blamed = [step for step in report.steps if step.verdict == "fail" and not step.notes]
    found = f"{', '.join(verdicts)}; {len(taken)} disturbed steps; {report.answer.disturbance}"
    return told("a busy neighbour", "is named", found, good=bool(taken) and said and not blamed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", choices=["known-limit", "projection", "repeat", "neighbour"])
    parser.add_argument("--repeat", type=int, default=5, help="how often known-limit asks each peer")
    parser.add_argument("--only", choices=[*PEERS, "silent"], help="only this peer of known-limit")
    parser.add_argument("--work", type=float, help="only this work per message for projection, in seconds")
    given = parser.parse_args()
    proofs = {
        "known-limit": lambda: known_limit(given.repeat, given.only),
        "projection": lambda: projection([given.work] if given.work else [0.0005, 0.001, 0.002]),
        "repeat": repeat_runs,
        "neighbour": neighbour,
    }
    sys.exit(0 if proofs[given.proof]() else 1)


if __name__ == "__main__":
    main()
