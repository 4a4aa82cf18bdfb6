"""Run the queries of dashboards against a recorded Prometheus."""

from __future__ import annotations

import json
import math
import re
import urllib.error
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.http_client import urlopen
from tests.grafana.committed_dashboards import ALL, substitute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.grafana.committed_dashboards import Query
    from tests.grafana.recording import Recording

ALL_SELECTED: Final = {"job": ALL, "instance": ALL, "request": ALL}


@dataclass(frozen=True, slots=True)
class Line:
    """A series of an answer, without NaN and infinite values."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


class InvalidQueryError(Exception):
    """Prometheus rejected a query."""


@dataclass(frozen=True, slots=True)
class RecordedQueries:
    """A recording, and the displayed time range."""

    recording: Recording
    start: float
    end: float

    @property
    def seconds(self) -> int:
        return math.ceil(self.end - self.start)

    def lines(self, query: Query, selection: Mapping[str, str] = ALL_SELECTED) -> list[Line]:
        """Return the finite series of a query: one point per second, or one point for an instant query.

        Raises:
            InvalidQueryError: the query is not valid.
        """
        expr = substitute(query.expr, selection, shown_seconds=self.seconds)
        if query.instant:
            data = self._get("query", query=expr, time=str(self.recording.live))
            found = [(entry["metric"], [entry["value"]]) for entry in data["result"]]
        else:
            data = self._get("query_range", query=expr, start=str(self.start), end=str(self.end), step="1")
            found = [(entry["metric"], entry["values"]) for entry in data["result"]]
        lines = [
            Line(labels, tuple((float(at), float(value)) for at, value in values if math.isfinite(float(value))))
            for labels, values in found
        ]
        return [line for line in lines if line.points]

    def values(self, query: str, selection: Mapping[str, str] = ALL_SELECTED) -> list[str]:
        """Return the values that a variable's query, `label_values(selector, label)`, offers."""
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert match is not None, query
        path = f"label/{match[2]}/values"
        found = self._get(
            path, **{"match[]": substitute(match[1], selection), "start": str(self.start), "end": str(self.end)}
        )
        return list(found)

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"{self.recording.prometheus.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urlopen(url, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refusal:
            raise InvalidQueryError(refusal.read().decode()) from None
