"""The tables of a comparison, in Markdown, and their places in the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.roster import BEST, OURS, ROSTER, USUAL
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from benchmarks.results import Results, Spread
    from benchmarks.workloads import Row

BEGIN: Final = "<!-- bench: made by make bench -->"
END: Final = "<!-- bench: end -->"
MEASURED_BY: Final = (OURS, BEST, USUAL)
"""The servers that the goals speak of."""
ROUNDS: Final = 5
"""Rounds that a figure in a document needs."""


def rows(results: Mapping[str, Results]) -> Iterator[tuple[Row, Results]]:
    """Yield the rows of the workloads that were measured."""
    for key, workload in WORKLOADS.items():
        if key in results:
            for row in workload.rows:
                yield row, results[key]


def against_goals(results: Mapping[str, Results]) -> str:
    """Return the table of our figures and of their ratios to the two that matter, with the goals."""
    lines = _head("workload", "Stampede", f"over {ROSTER[BEST].title}", f"over {ROSTER[USUAL].title}", "goal")
    for row, found in rows(results):
        ratios = {other: found.ratio(OURS, other, row.figure) for other in (BEST, USUAL)}
        cells = [f"{ratio.show('.2f')} x" if ratio else "-" for ratio in ratios.values()]
        ours = found.of(OURS, row.figure)
        figure = f"{_figure(ours, row)} {row.unit}" if ours else "no valid round"
        lines.append(f"| {row.title} | {figure} | {' | '.join(cells)} | {_goal(row, ours, ratios)} |")
    return "\n".join(lines)


def side_by_side(results: Mapping[str, Results]) -> str:
    """Return the table of every server's figures: the median of the valid rounds."""
    servers = [key for key in ROSTER if any(key in found.servers for found in results.values())]
    lines = _head("workload", "", *(ROSTER[key].title for key in servers))
    for row, found in rows(results):
        cells = [_figure(found.of(key, row.figure), row) for key in servers]
        lines.append(f"| {row.title} | {row.unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def how(results: Mapping[str, Results]) -> str:
    """Return the sentence that says how the figures came about, and what was left out of them."""
    rounds = " or ".join(map(str, sorted({found.rounds for found in results.values()})))
    others = {found.of(key, row.figure) for row, found in rows(results) for key in ROSTER if key not in MEASURED_BY}
    fewer = " or ".join(map(str, sorted({other.rounds for other in others if other})))
    machines = " and ".join(sorted({found.machine for found in results.values()}))
    invalid = [outcome for found in results.values() for outcome in found.outcomes if outcome.problem]
    measured = sum(len(found.outcomes) for found in results.values())
    return (
        f"Median of {rounds} rounds{f' ({fewer} for servers that no goal speaks of)' if fewer else ''} on {machines}, "
        f"in brackets the lowest and the highest; a ratio is taken within a round. {len(invalid)} of {measured} "
        "measurements were invalid and are left out."
    )


def missing(results: Mapping[str, Results]) -> str | None:
    """Return what has to be measured before the documents can be made of these results; None if nothing."""
    for key, workload in WORKLOADS.items():
        if key not in results:
            return f"{key} is not measured yet"
        if results[key].rounds < ROUNDS:
            return f"{key} has less than {ROUNDS} rounds"
        for server in workload.only or MEASURED_BY:
            if server not in results[key].servers:
                return f"{key} is not measured on {ROSTER[server].title} yet"
    return None


def _head(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|---|" + "---:|" * (len(columns) - 1)]


def shown(value: float, row: Row) -> str:
    """Return a row's figure in its unit."""
    return f"{value * row.scale:{row.form}}"


def _figure(found: Spread | None, row: Row) -> str:
    return shown(found.middle, row) if found else "-"


def _goal(row: Row, ours: Spread | None, ratios: Mapping[str, Spread | None]) -> str:
    sign = "\N{LESS-THAN OR EQUAL TO}" if row.less else "\N{GREATER-THAN OR EQUAL TO}"
    parts = []
    for key, goal in row.goals.items():
        value, what = (ours.middle * row.scale if ours else None), row.unit
        if key != OURS:
            ratio = ratios[key]
            value, what = (ratio.middle if ratio else None), f"x {ROSTER[key].title}"
        parts.append(f"{sign} {goal:g} {what}: {_verdict(value, goal, less=row.less)}")
    return "; ".join(parts)


def _verdict(value: float | None, goal: float, *, less: bool) -> str:
    if value is None:
        return "not measured"
    return "met" if (value <= goal if less else value >= goal) else "**missed**"


def put(document: Path, text: str) -> bool:
    """Put a text between the markers of a document; return whether that changed it.

    Raises:
        ValueError: the document has no markers.
    """
    before = document.read_text()
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} has no lines {BEGIN!r} and {END!r}")
    after = f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}"
    document.write_text(after)
    return after != before
