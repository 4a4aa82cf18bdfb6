"""Saved results, one JSON file for each workload; their medians, spreads and ratios."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """One server in one round of a workload; `problem` is the reason why it is invalid; None for a valid one."""

    server: str
    round: int
    figures: dict[str, float]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, lowest and highest of the valid rounds."""

    middle: float
    low: float
    high: float
    rounds: int

    def show(self, form: str) -> str:
        """Return the spread as the text of a table cell, in the format `form`."""
        if self.rounds == 1:
            return f"{self.middle:{form}}"
        return f"{self.middle:{form}} ({self.low:{form}}-{self.high:{form}})"


@dataclass(frozen=True, slots=True)
class Results:
    """All rounds of one workload.

    Attributes:
        workload: key of the workload.
        seconds: length of a window.
        machine: short description of the machine.
        outcomes: the measurements, in the order in which they were made.
    """

    workload: str
    seconds: float
    machine: str
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def servers(self) -> list[str]:
        """The servers that were measured."""
        return list(dict.fromkeys(outcome.server for outcome in self.outcomes))

    @property
    def rounds(self) -> int:
        """The number of rounds."""
        return 1 + max((outcome.round for outcome in self.outcomes), default=-1)

    def spread(self, server: str, figure: str) -> Spread | None:
        """Return the spread of a server's figure, or None without a valid round."""
        return _spread(self._values(server, figure).values())

    def ratio(self, server: str, other: str, figure: str) -> Spread | None:
        """Return the ratio of a figure of two servers, over the rounds that are valid for both."""
        ours, theirs = self._values(server, figure), self._values(other, figure)
        return _spread(ours[number] / theirs[number] for number in ours if theirs.get(number))

    def _values(self, server: str, figure: str) -> dict[int, float]:
        return {
            outcome.round: outcome.figures[figure]
            for outcome in self.outcomes
            if outcome.server == server and outcome.problem is None and figure in outcome.figures
        }

    def problems(self) -> list[str]:
        """Return a line for each round that is invalid."""
        return [
            f"{self.workload}, round {outcome.round + 1}, {outcome.server}: {outcome.problem}"
            for outcome in self.outcomes
            if outcome.problem
        ]

    def save(self, folder: Path) -> None:
        """Write the file of this workload, replacing an older one."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.workload}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")


def _spread(values: Iterable[float]) -> Spread | None:
    known = sorted(values)
    return Spread(median(known), known[0], known[-1], len(known)) if known else None


def load(folder: Path, workloads: Iterable[str]) -> dict[str, Results]:
    """Return the saved results of these workloads, by key."""
    files = {key: folder / f"{key}.json" for key in workloads}
    return {key: _parse(json.loads(file.read_text())) for key, file in files.items() if file.exists()}


def _parse(saved: dict[str, Any]) -> Results:
    outcomes = [Outcome(**outcome) for outcome in saved.pop("outcomes")]
    return Results(**saved, outcomes=outcomes)
