"""Read the committed dashboards: panels, queries, and substituted variables."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from grafana.build import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ALL: Final = ".+"  # the value of a variable's All option
_SPECIAL: Final = re.compile(r"([\\^$.*+?()[\]{}|])")


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel or of an annotation."""

    board: str
    title: str
    expr: str
    legend: str = ""
    ref: str = "A"
    instant: bool = False

    def __str__(self) -> str:
        return f"{self.board} / {self.title} / {self.ref}"


@cache
def _files() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.json"))}


def boards() -> dict[str, dict[str, Any]]:
    """Return a fresh copy of each committed dashboard by its file's name: tests may break it."""
    return {name: json.loads(text) for name, text in _files().items()}


def panels(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the panels without the rows' headings."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(name: str, board: Mapping[str, Any]) -> Iterator[Query]:
    """Yield every query of a dashboard's panels."""
    for panel in panels(board):
        for target in panel["targets"]:
            instant = target.get("instant", False)
            yield Query(name, panel["title"], target["expr"], target.get("legendFormat", ""), target["refId"], instant)


def marks(name: str, board: Mapping[str, Any]) -> Iterator[Query]:
    """Yield the queries of a dashboard's annotations."""
    for mark in board["annotations"]["list"]:
        yield Query(name, mark["name"], mark["expr"])


def substitute(expr: str, selection: Mapping[str, str], *, shown_seconds: int = 60, scrape_seconds: int = 1) -> str:
    """Substitute the variables of a query, as Grafana does for a step of one scrape interval.

    Source: grafana.com/docs/grafana/latest/datasources/prometheus/template-variables: `$__rate_interval` is
    max($__interval + scrape interval, 4 * scrape interval).
    """
    filled = expr.replace("$__rate_interval", f"{4 * scrape_seconds}s").replace("$__range", f"{shown_seconds}s")
    for name, value in selection.items():
        filled = filled.replace(f"${name}", value)
    assert "$" not in filled, filled
    return filled


def selection(values: list[str]) -> str:
    """Return the pattern of a variable with several selected values, escaped for the regex and for the string."""
    return "(" + "|".join(_SPECIAL.sub(r"\\\\\1", value) for value in values) + ")"
