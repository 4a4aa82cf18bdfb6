"""Bounds the number of request names that the master keeps; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.measure.figures import merge_counts
from stampede.measure.request_names import MAX_OWN_NAMES, NAMES, OTHER, row_of

if TYPE_CHECKING:
    from stampede.measure.figures import RequestCounts

BUILT_IN: Final = frozenset(row_of(name) for name in (*NAMES, OTHER))


class RowLimit:
    """Keeps the first `MAX_OWN_NAMES` rows of all workers of a test, and adds the others up as `other`.

    Each worker keeps to the limit by itself, but their names may differ. A row stays what it was at first: a kept one
    or a part of `other`. So counts never decrease.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = set(BUILT_IN)

    def apply(self, rows: dict[str, RequestCounts]) -> dict[str, RequestCounts]:
        """Return the rows of one worker within the limit."""
        bounded: dict[str, RequestCounts] = {}
        for row, counts in rows.items():
            if row not in self._kept and len(self._kept) < len(BUILT_IN) + MAX_OWN_NAMES:
                self._kept.add(row)
            key = row if row in self._kept else row_of(OTHER)
            bounded[key] = merge_counts(bounded[key], counts) if key in bounded else counts
        return bounded
