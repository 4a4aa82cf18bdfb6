"""The table of the functions of two profiles, side by side. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record.profile import HotFunction, RunProfile

_SMALLEST_SHARE: Final = 0.005
_ROWS: Final = 20


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A function and its shares; None for a level that was not profiled, and for a change without both levels."""

    function: str
    place: str
    passing: float | None
    failing: float | None

    @property
    def change(self) -> float | None:
        """The share at the failing level less that at the passing one."""
        return None if self.passing is None or self.failing is None else self.failing - self.passing


def function_rows(profile: RunProfile) -> list[FunctionRow]:
    """Return the first functions of either level, those first that use most time at the failing level."""
    passing, failing = _by_function(profile.passing), _by_function(profile.failing)
    rows = [
        FunctionRow(
            function=one.function,
            place=f"{one.file}:{one.line}" if one.file is not None else "",
            passing=_share(passing, key),
            failing=_share(failing, key),
        )
        for key, one in ((passing or {}) | (failing or {})).items()
    ]
    shown = [row for row in rows if max(row.passing or 0.0, row.failing or 0.0) >= _SMALLEST_SHARE]
    return sorted(shown, key=lambda row: (-(row.failing or 0.0), -(row.passing or 0.0)))[:_ROWS]


Functions = dict[tuple[str, str | None], "HotFunction"]


def _by_function(functions: Sequence[HotFunction] | None) -> Functions | None:
    return None if functions is None else {(one.function, one.file): one for one in functions}


def _share(functions: Functions | None, key: tuple[str, str | None]) -> float | None:
    """Return the share of a function; a function of the other level that is not in this one has no samples."""
    if functions is None:
        return None
    return functions[key].share if key in functions else 0.0
