"""The lines of the summary about requests that scenarios named, and those of other clients; pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from stampede.measure.formatting import precise_ms
from stampede.measure.request_names import MAX_OWN_NAMES, METHOD, OTHER, row_of
from stampede.measure.row_limit import BUILT_IN

if TYPE_CHECKING:
    from stampede.measure.figures import Figures, RequestCounts
    from stampede.verdict.slo import Slo

_NAME_WIDTH: Final = 19


def request_lines(figures: Figures) -> list[str]:
    """Return a line for each name that was used, and one about the requests beyond the limit of names."""
    rows = {name_of(row): counts for row, counts in figures.requests.items() if _is_own(row) and counts.count}
    other = figures.requests.get(row_of(OTHER))
    if other is not None and other.count:
        rows[OTHER] = other
    width = max([_NAME_WIDTH, *map(len, rows)])
    lines = [f"{name:<{width}} {_counts(counts)}" for name, counts in rows.items()]
    if other is not None and other.count and sum(map(_is_own, figures.requests)) >= MAX_OWN_NAMES:
        lines.append(f"{other.count} requests had names beyond the first {MAX_OWN_NAMES}: counted as `{OTHER}`")
    return lines


def name_of(row: str) -> str:
    """Return the name by which a threshold finds a row: without our own method."""
    return row.removeprefix(f"{METHOD} ")


def why_unmeasured(slo: Slo, figures: Figures) -> str:
    """Return why there is no value of an SLO's figure."""
    if slo.request is None:
        return "no samples"
    found = figures.find_request(slo.request)
    if found is not None and found.count:
        return "no request succeeded" if slo.rank is not None else "no samples"
    used = [name_of(row) for row, counts in figures.requests.items() if counts.count]
    near = difflib.get_close_matches(slo.request, used, n=1)
    return f"no request of this name{f'; did you mean {near[0]!r}?' if near else ''}"


def _is_own(row: str) -> bool:
    return row not in BUILT_IN


def _counts(counts: RequestCounts) -> str:
    times = "  ".join(f"{name} {precise_ms(counts.times.quantile(q))}" for q, name in ((0.5, "p50"), (0.99, "p99")))
    return f"{counts.count} requests, {counts.failures} failed  {times}"
