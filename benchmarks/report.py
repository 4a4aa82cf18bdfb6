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
        shown = f"{_figure(ours, row)} {row.unit}" if ours else "no valid round"
        lines.append(f"| {row.title} | {shown} | {' | '.join(cells)} | {_goal(row, ours, ratios)} |")
    return "\n".join(lines)


def side_by_side(results: Mapping[str, Results]) -> str:
    """Return the table of every server's figures: the median of the valid rounds."""
    servers = [key for key in ROSTER if any(key in found.servers for found in results.values())]
    lines = _head("workload", "", *(ROSTER[key].title for key in servers))
    for row, found in rows(results):
        cells = [_figure(found.of(key, row.figure), row) for key in servers]
        lines.append(f"| {row.title} | {row.unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def told(results: Mapping[str, Results]) -> str:
    """Return both tables and how they came about."""
    rounds = {found.rounds for found in results.values()}
    machines = " and ".join(sorted({found.machine for found in results.values()}))
    return "\n\n".join(
        (
            against_goals(results),
            f"Median of {' or '.join(map(str, sorted(rounds)))} rounds, in brackets the lowest and the highest; "
            f"ratios within one round, on {machines}.",
            side_by_side(results),
        )
    )


def _head(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|---|" + "---:|" * (len(columns) - 1)]


def _figure(found: Spread | None, row: Row) -> str:
    return f"{found.middle * row.scale:{row.form}}" if found else "-"


def _goal(row: Row, ours: Spread | None, ratios: Mapping[str, Spread | None]) -> str:
    sign = "at most" if row.less else "at least"
    parts = []
    for key, goal in row.goals.items():
        if key == OURS:
            parts.append(f"{sign} {goal:g} {row.unit}: {_met(ours, goal, row)}")
        else:
            parts.append(f"{sign} {goal:g} x {ROSTER[key].title}: {_met(ratios[key], goal, row)}")
    return "; ".join(parts)


def _met(found: Spread | None, goal: float, row: Row) -> str:
    if found is None:
        return "not measured"
    value = found.middle * (row.scale if goal == row.goals.get(OURS) else 1.0)
    return "met" if (value <= goal if row.less else value >= goal) else "**missed**"


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
