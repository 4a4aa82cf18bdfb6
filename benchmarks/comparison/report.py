"""The tables of a comparison, in Markdown, and their insertion into the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.comparison.servers import BUN, NODE_WS, OURS, SERVERS
from benchmarks.comparison.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from benchmarks.comparison.results import Results, Spread
    from benchmarks.comparison.workloads import Row

BEGIN: Final = "<!-- bench: made by make bench -->"
END: Final = "<!-- bench: end -->"
SERVERS_WITH_GOALS: Final = (OURS, BUN, NODE_WS)
"""The servers that the goals refer to."""
README_ROWS: Final = {
    ("big", "granted_per_s"): "200 clients in 2 rooms, saturated",
    ("tens", "per_cpu_s"): "200 clients in 20 rooms, saturated",
    ("pairs", "per_cpu_s"): "200 clients in 100 rooms, 15 000/s",
    ("latency", "latency_p99_ms"): "200 clients in 2 rooms, 50 000/s: p99",
    ("crowd", "connects_per_s"): "10 000 clients connect",
}
"""The rows of the main README, by workload and figure, with titles that need no row above them."""
ROUNDS: Final = 5
"""Rounds that a figure needs before it goes into a document."""


def rows(results: Mapping[str, Results]) -> Iterator[tuple[Row, Results]]:
    """Yield the rows of the measured workloads."""
    for key, workload in WORKLOADS.items():
        if key in results:
            for row in workload.rows:
                yield row, results[key]


def against_goals(results: Mapping[str, Results]) -> str:
    """Return the table of our figures, with their ratios to Bun and Node `ws` and the goals."""
    return _against_goals((row.title, row, found) for row, found in rows(results))


def of_the_readme(results: Mapping[str, Results]) -> str:
    """Return the five rows of this table that the main README has."""
    return _against_goals(
        (title, row, results[key])
        for (key, figure), title in README_ROWS.items()
        for row in WORKLOADS[key].rows
        if row.figure == figure and key in results
    )


def _against_goals(shown: Iterable[tuple[str, Row, Results]]) -> str:
    lines = _head("workload", "Stampede", f"over {SERVERS[BUN].title}", f"over {SERVERS[NODE_WS].title}", "goal")
    for title, row, found in shown:
        ratios = {other: found.ratio(OURS, other, row.figure) for other in (BUN, NODE_WS)}
        cells = [f"{ratio.show('.2f')} x" if ratio else "-" for ratio in ratios.values()]
        ours = found.spread(OURS, row.figure)
        figure = f"{_figure(ours, row)} {row.unit}" if ours else "no valid round"
        lines.append(f"| {title} | {figure} | {' | '.join(cells)} | {_goal(row, ours, ratios)} |")
    return "\n".join(lines)


def side_by_side(results: Mapping[str, Results]) -> str:
    """Return the table of all servers: the median of the valid rounds."""
    servers = [key for key in SERVERS if any(key in found.servers for found in results.values())]
    lines = _head("workload", "", *(SERVERS[key].title for key in servers))
    for row, found in rows(results):
        cells = [_figure(found.spread(key, row.figure), row) for key in servers]
        lines.append(f"| {row.title} | {row.unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def method(results: Mapping[str, Results]) -> str:
    """Return the sentences below the tables: rounds, machine, and invalid measurements."""
    rounds = " or ".join(map(str, sorted({found.rounds for found in results.values()})))
    others = {
        found.spread(key, row.figure)
        for row, found in rows(results)
        for key in SERVERS
        if key not in SERVERS_WITH_GOALS
    }
    fewer = " or ".join(map(str, sorted({other.rounds for other in others if other})))
    machines = " and ".join(sorted({found.machine for found in results.values()}))
    invalid = [outcome for found in results.values() for outcome in found.outcomes if outcome.problem]
    measured = sum(len(found.outcomes) for found in results.values())
    return (
        f"Median of {rounds} rounds{f' ({fewer} for servers without a goal)' if fewer else ''} on {machines}, "
        f"with the lowest and the highest in brackets; a ratio compares two servers of one round. {len(invalid)} of "
        f"{measured} measurements were invalid and are left out."
    )


def missing(results: Mapping[str, Results]) -> str | None:
    """Return the first missing measurement, without which the documents cannot be updated; None if none is missing."""
    for key, workload in WORKLOADS.items():
        if key not in results:
            return f"{key} is not measured yet"
        if results[key].rounds < ROUNDS:
            return f"{key} has fewer than {ROUNDS} rounds"
        for server in workload.only or SERVERS_WITH_GOALS:
            if server not in results[key].servers:
                return f"{key} is not measured on {SERVERS[server].title} yet"
    return None


def _head(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|---|" + "---:|" * (len(columns) - 1)]


def measured(figures: Mapping[str, float], row: Row) -> str:
    """Return the figure of a row and its unit.

    Figures may lack it: the server may have used less CPU time than the system's resolution, or delivered nothing.
    """
    value = figures.get(row.figure)
    return f"not measured ({row.unit})" if value is None else f"{_shown(value, row)} {row.unit}"


def _shown(value: float, row: Row) -> str:
    return f"{value * row.scale:{row.form}}"


def _figure(found: Spread | None, row: Row) -> str:
    return _shown(found.middle, row) if found else "-"


def _goal(row: Row, ours: Spread | None, ratios: Mapping[str, Spread | None]) -> str:
    sign = "\N{LESS-THAN OR EQUAL TO}" if row.less else "\N{GREATER-THAN OR EQUAL TO}"
    parts = []
    for key, goal in row.goals.items():
        value, what = (ours.middle * row.scale if ours else None), row.unit
        if key != OURS:
            ratio = ratios[key]
            value, what = (ratio.middle if ratio else None), f"x {SERVERS[key].title}"
        parts.append(f"{sign} {goal:g} {what}: {_verdict(value, goal, less=row.less)}")
    return "; ".join(parts)


def _verdict(value: float | None, goal: float, *, less: bool) -> str:
    if value is None:
        return "not measured"
    return "met" if (value <= goal if less else value >= goal) else "**missed**"


def replace_between_markers(document: Path, text: str) -> bool:
    """Replace the text between the markers of a document; return whether the document changed.

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
