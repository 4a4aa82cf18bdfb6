"""Run mutation tests of the pure modules and print the score of each.

`make mutants` runs mutmut with the modules and tests named in pyproject.toml, `make mutants ARGS="server.chat.room*"` a
part of them. A mutant is killed when a test fails with it. The score of a module is killed / (all - equivalent).
Mutants that no test can kill are listed in `equivalent_mutants.toml`, each with its reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
EQUIVALENT = Path(__file__).parent / "equivalent_mutants.toml"
MUTMUT = Path(sys.executable).with_name("mutmut")

KILLED = {
    "killed",
    "timeout",
    "segfault",
    "suspicious",
}  # a mutant that hangs or crashes the tests is found too


class Change(NamedTuple):
    """One mutant: the replaced lines of a module, and the lines in their place, stripped of indentation."""

    module: str
    before: str
    after: str


@dataclass
class Score:
    """The counts of one module."""

    killed: int = 0
    equivalent: int = 0
    survived: int = 0

    def __str__(self) -> str:
        judged = self.killed + self.survived
        share = f"{100 * self.killed / judged:5.1f} %" if judged else "    -  "
        total = self.killed + self.equivalent + self.survived
        return f"{total:6} {self.killed:6} {self.equivalent:10} {self.survived:8} {share}"


def equivalent_mutants() -> dict[Change, str]:
    """Return the reason of each mutant that behaves like the original."""
    entries = tomllib.loads(EQUIVALENT.read_text())["equivalent"]
    return {Change(entry["module"], entry["before"], entry["after"]): entry["reason"] for entry in entries}


def read_change(module: str, diff: str) -> Change:
    """Read a mutant's change from its unified diff."""
    body = [line for line in diff.splitlines() if not line.startswith(("--- ", "+++ "))]

    def side(mark: str) -> str:
        return " ".join(line[1:].strip() for line in body if line.startswith(mark))

    return Change(module, side("-"), side("+"))


def main() -> int:
    """Run mutmut, then print the survivors and a table; return 1 where a module scores below 90 %."""
    os.chdir(ROOT)  # mutmut reads and writes below the current folder
    ran = subprocess.run([MUTMUT, "run", *sys.argv[1:]], check=False)
    if ran.returncode:
        return ran.returncode
    from mutmut.mutation.diff_apply import get_diff_for_mutant  # noqa: PLC0415 - slow to load, and only needed here

    results = subprocess.run([MUTMUT, "results", "--all", "true"], check=True, capture_output=True, text=True)
    equivalent = equivalent_mutants()
    scores: defaultdict[str, Score] = defaultdict(Score)
    statuses: Counter[str] = Counter()
    for line in results.stdout.splitlines():
        name, _, status = line.strip().rpartition(": ")
        statuses[status] += 1
        module = name.partition(".x")[0].replace(".", "/") + ".py"
        if status in KILLED:
            scores[module].killed += 1
        elif status in {"survived", "no tests"}:
            change = read_change(module, get_diff_for_mutant(name, path=module))
            if change in equivalent:
                scores[module].equivalent += 1
            else:
                scores[module].survived += 1
                print(f"{name}: {status}\n  - {change.before}\n  + {change.after}")
    print(f"{'module':26} {'all':>6} {'killed':>6} {'equivalent':>10} {'survived':>8}   score")
    for module, score in sorted(scores.items()):
        print(f"{module:26} {score}")
    if statuses["not checked"]:
        print(f"{statuses['not checked']} mutants were not run")
    return int(any(score.killed < 0.9 * (score.killed + score.survived) for score in scores.values()))


if __name__ == "__main__":
    sys.exit(main())
