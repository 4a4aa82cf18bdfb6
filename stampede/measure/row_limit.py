"""Bounds the number of request names that the master keeps; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.measure.figures import merge_counts
from stampede.measure.request_names import MAX_OWN_NAMES, NAMES, OTHER, row_of, rows_named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stampede.measure.figures import RequestCounts

BUILT_IN: Final = frozenset(row_of(name) for name in (*NAMES, OTHER))


class RowLimit:
    """Keeps the first `MAX_OWN_NAMES` rows of all workers of a test, and adds the others up as `other`.

    Each worker keeps to the limit by itself, but their names may differ. A row stays what it was at first: a kept one
    or a part of `other`. So counts never decrease.

    Args:
        kept_names: names that are kept also beyond the limit.
    """

    __slots__ = ("_kept", "_most")

    def __init__(self, kept_names: Iterable[str] = ()) -> None:
        self._kept = set(BUILT_IN | rows_named(kept_names))
        self._most = len(self._kept) + MAX_OWN_NAMES

    def apply(self, rows: dict[str, RequestCounts]) -> dict[str, RequestCounts]:
        """Return the rows of one worker within the limit."""
        bounded: dict[str, RequestCounts] = {}
        for row, counts in rows.items():
            if len(self._kept) < self._most:
                self._kept.add(row)
            key = row if row in self._kept else row_of(OTHER)
            bounded[key] = merge_counts(bounded[key], counts) if key in bounded else counts
        return bounded
