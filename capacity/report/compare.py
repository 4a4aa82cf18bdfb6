"""Compare runs before and after a change: which figures are worse or better, and which are decisive. Pure.

Several runs of each side are paired in order (before 1 with after 1, ...). The runs of a pair are made close in time
on one machine, so that a disturbance affects both; the median of the pairs' ratios counts. `noise` has the rule that
tells whether a difference is larger than the spread of the pairs.

Decisive (exit code 99) are the capacity, a level or a drill that passed and now fails, and server CPU per delivery at
levels that both sides measured. Latency is listed but never decisive: on a shared machine it varies by more than any
sensible tolerance. Use SLOs to bound it. The spread does not change what is decisive: a difference beyond the
tolerance that the spread cannot exclude needs more pairs, it is not fine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from capacity.errors import UsageError
from capacity.formatting import listing
from capacity.record.step import LATENCY_INCLUDES_DELAY
from capacity.report.comparison_rows import Row, comparison_rows
from capacity.report.noise import Noise
from capacity.report.question import differences, question_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capacity.record.report import Environment, RunReport


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison.

    Attributes:
        before, after: revisions and number of runs of each side.
        question: what all runs measured, in words.
        pairs: number of pairs.
        tolerance: fraction by which the later side may be worse.
        flags: reasons for doubt.
        worse: the decisive changes for the worse.
        unjudged: why these runs cannot be judged; empty if they can.
    """

    before: str
    after: str
    question: str
    pairs: int
    tolerance: float
    rows: tuple[Row, ...]
    flags: tuple[str, ...]
    worse: tuple[str, ...]
    unjudged: str = ""

    @property
    def verdict(self) -> str:
        """The verdict, such as `worse by more than 10 %`."""
        text = f"worse by more than {self.tolerance * 100:g} %"
        if self.worse:
            return f"not judged: {self.unjudged}; it would be {text}" if self.unjudged else text
        parts = [f"not {text}"]
        for change, words in (("better", "better"), ("worse", "worse, but not decisive")):
            if number := len(self.changed(change)):
                parts.append(f"{number} figure{'s' if number > 1 else ''} {words}")
        return "; ".join(parts)

    @property
    def is_doubtful(self) -> bool:
        """Whether all decisive changes are within the spread."""
        return bool(self.worse) and all(row.is_noise for row in self.rows if row.decides)

    def changed(self, change: str) -> list[Row]:
        """Return the figures that are `worse` or `better`, and not within the spread."""
        return [row for row in self.rows if row.change == change and not row.is_noise]


def compare(before: Sequence[RunReport], after: Sequence[RunReport], tolerance: float) -> Comparison:
    """Compare runs; `tolerance` is the fraction by which the later side may be worse.

    Raises:
        UsageError: the runs answer different questions, or are not pairs.
    """
    if len(before) != len(after):
        raise UsageError(f"{len(before)} runs before and {len(after)} after are not pairs: give the same number")
    runs = [*before, *after]
    _check_comparable(runs)
    rows = tuple(comparison_rows(before, after, tolerance))
    if not rows:
        raise UsageError("the runs have no common level and no common answer: use the same --bounded or --steps")
    return Comparison(
        before=_side(before),
        after=_side(after),
        question=_question(runs[0]),
        pairs=len(before),
        tolerance=tolerance,
        rows=rows,
        flags=tuple(_flags(runs)),
        worse=tuple(_reason(row) for row in rows if row.decides),
        unjudged=_unjudged(runs),
    )


def _side(runs: Sequence[RunReport]) -> str:
    revisions = listing(list(dict.fromkeys(run.environment.revision or "unknown" for run in runs)))
    return f"revision {revisions}, {len(runs)} run{'s' if len(runs) > 1 else ''}"


def _question(run: RunReport) -> str:
    asked = question_of(run)
    return ", ".join([asked.users, *asked.load, asked.server, asked.dialect, *asked.settings, *run.levels])


def _reason(row: Row) -> str:
    text = f"{row.name}: {row.before} before, {row.after} after"
    return f"{text}; {Noise.WITHIN}, measure more pairs" if row.is_noise else text


def _unjudged(runs: Sequence[RunReport]) -> str:
    """Return why the runs differ by noise alone: both are of one revision without local changes."""
    revisions = {run.environment.revision for run in runs}
    revision = runs[0].environment.revision
    if len(runs) > 2 or len(revisions) > 1 or revision is None or revision.endswith("-dirty"):
        return ""
    return f"both runs are of revision {revision}, so their difference is noise"


def _check_comparable(runs: Sequence[RunReport]) -> None:
    if len({run.drill is None for run in runs}) > 1:
        raise UsageError("one of the reports is of a drill, another is not: compare runs of one kind")
    for other in runs[1:]:
        if found := differences(runs[0], other):
            raise UsageError(f"{'; '.join(found)}; compare runs of the same question; see docs/how-to/ci.md")


def _flags(runs: Sequence[RunReport]) -> Iterator[str]:
    first = runs[0].environment
    if len(runs) == 2:
        yield "one pair of runs: noise alone can exceed the tolerance; compare at least three pairs (A1,A2,A3 B1,B2,B3)"
    elif len(runs) == 4:
        yield "two pairs of runs: an interval of two is very wide; compare at least three pairs"
    machines = list(dict.fromkeys(_machine(run.environment) for run in runs))
    if len(machines) > 1:
        yield f"different machines: the difference may be theirs: {listing(machines)}"
    servers = list(dict.fromkeys(question_of(run).server for run in runs))
    if len(servers) > 1:
        yield f"different servers: {listing(servers)}"
    if len({(run.environment.python, *sorted(run.environment.libraries.items())) for run in runs}) > 1:
        yield "different versions of Python or of a library"
    contents = {str(run.settings["locustfile_hash"]): None for run in runs if run.settings.get("locustfile_hash")}
    if len(contents) > 1:
        yield f"the content of the locustfile differs: SHA-256 {listing(list(contents))}"
    commands = list(dict.fromkeys(run.drill.command for run in runs if run.drill is not None))
    if len(commands) > 1:
        yield f"the command of the drills differs: {listing(commands)}"
    if len({tuple(run.environment.server_cores or ()) for run in runs}) > 1:
        yield "the server was pinned differently"
    if any(run.status == "partial" for run in runs):
        yield "a run was interrupted"
    if any(run.answer.disturbance for run in runs):
        yield "the machine was not quiet in every run"
    if any(note.endswith(LATENCY_INCLUDES_DELAY) for run in runs for step in run.steps for note in step.notes):
        yield "the latencies of a run include delays of the load generator"
    if first.revision is not None and len({run.environment.revision for run in runs}) == 1:
        yield f"all runs are of revision {first.revision}"


def _machine(environment: Environment) -> str:
    return f"{environment.host} ({environment.cores} x {environment.cpu_model or 'unknown CPU'})"
