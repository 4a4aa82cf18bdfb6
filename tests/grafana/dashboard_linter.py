"""The rules of Grafana's dashboard-linter and ours; they also cover heatmaps and matched counters."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from grafana.layout import LOADTEST_UID
from grafana.promql import EXTERNAL_METRICS
from metrics.catalog import CATALOG
from stampede.metrics.metric import Label, Metric
from tests.grafana.committed_dashboards import marks, panels, substitute
from tests.grafana.query_units import unit_of
from tests.grafana.recorded_queries import ALL_SELECTED
from tests.metrics.promql import SCRAPED, Checker, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
KINDS: Final = {"stat", "timeseries", "heatmap", "table"}
TAGS: Final = ({"stampede"}, {"stampede", "stampede-server"})
_SELECTOR: Final = re.compile(r"([a-z_]+){([^}]*)}")
_RANGE: Final = re.compile(r"\b(\w+)\(\w+{[^}]*}\[([^\]]+)\]\)")
_RANGES: Final = {
    "rate": {"$__rate_interval"},
    "irate": {"$__rate_interval"},
    "increase": {"$__range", "$__rate_interval"},
    "last_over_time": {"$__range"},
}
_BY_REQUEST: Final = tuple(
    name for name, metric in CATALOG.items() if "name" in {label.name for label in metric.labels}
)
_ALERTS: Final = Shape(SCRAPED | {"alertname", "alertstate", "severity"})


def known(catalog: Mapping[str, Metric] = CATALOG) -> dict[str, Metric]:
    """Return the catalog with what Prometheus and prometheus-client add."""
    external = {
        name: Metric(name, kind, "", tuple(Label(label, "any") for label in labels))  # type: ignore[arg-type] # as text
        for name, (kind, labels) in EXTERNAL_METRICS.items()
    }
    return {**external, **catalog}


def problems(name: str, board: Mapping[str, Any], catalog: Mapping[str, Metric] = CATALOG) -> list[str]:
    """Return the problems of a dashboard, one line each."""
    found = [f"{name}: {problem}" for problem in _board(board)]
    for query in marks(name, board):
        checker = Checker(known(catalog), {"ALERTS": _ALERTS})
        checker.check(query.expr)
        found += [f"{query}: {problem}" for problem in checker.problems]
    for panel in panels(board):
        found += [f"{name} / {panel.get('title')}: {problem}" for problem in panel_problems(panel, known(catalog))]
    return found


def _board(board: Mapping[str, Any]) -> Iterator[str]:
    if board.get("editable") is not False:
        yield "is editable in Grafana, where a change would be lost"
    if not 36 <= board.get("schemaVersion", 0) <= 42 or "__inputs" in board:
        yield "is not in the format of file provisioning"
    if not re.fullmatch(r"stampede-[a-z]+", board.get("uid", "")) or not board.get("description"):
        yield "has no uid or no description"
    if set(board.get("tags", ())) not in TAGS:
        yield "has other tags than the other dashboards, so their links omit it"
    for count in (
        Counter(panel["id"] for panel in board["panels"]),
        Counter(panel.get("title") for panel in panels(board)),
    ):
        yield from (f"{twice} occurs more than once" for twice, times in count.items() if times > 1)
    yield from _grid(board)
    yield from _variables(board)
    if [mark["datasource"] for mark in board["annotations"]["list"]] != [SOURCE] * 2:
        yield "has no annotations of test runs and alerts"
    kept = [(link["type"], link["keepTime"], link["includeVars"]) for link in board["links"]]
    if kept != [("dashboards", True, True), ("link", True, False)]:
        yield "does not link to the other dashboards with time range and variables"


def _grid(board: Mapping[str, Any]) -> Iterator[str]:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        if cells & taken or at["x"] + at["w"] > 24:
            yield f"{panel['title']} overlaps another panel or exceeds the width"
        taken |= cells
    height = max(y for _, y in taken) + 1
    if len(taken) != 24 * height:
        yield "has gaps in its grid"


def _variables(board: Mapping[str, Any]) -> Iterator[str]:
    source, *rest = board["templating"]["list"]
    if (source["type"], source["name"], source["label"]) != ("datasource", "datasource", "Data source"):
        yield "does not have the data source as its first variable"
    names = ["job", "instance", *(["request"] if board.get("uid") == LOADTEST_UID else [])]
    if source["query"] != "prometheus" or [one["name"] for one in rest] != names:
        yield f"has other variables than the data source, {', '.join(names)}"
    for one in rest:
        wanted = {
            "type": "query", "label": one["name"].capitalize(), "multi": True, "includeAll": True, "allValue": ".+",
            "refresh": 2, "datasource": SOURCE,
        }  # fmt: skip
        yield from (
            f"variable {one['name']}: {key} is not {value}" for key, value in wanted.items() if one.get(key) != value
        )


def panel_problems(panel: Mapping[str, Any], catalog: Mapping[str, Metric]) -> Iterator[str]:
    """Yield the problems of a panel; the catalog is a result of `known`."""
    if panel["type"] not in KINDS:
        yield f"is a {panel['type']}, for which there are no rules"
    if not panel.get("title"):
        yield "has no title"
    if not re.fullmatch(r"\S.+\n\n\*\*Bad:\*\* .+\n\n\*\*Do:\*\* .+\.", panel.get("description", "")):
        yield "has a description without its three parts"
    if any(one.get("datasource") != SOURCE for one in (panel, *panel["targets"])):
        yield "does not use the selected data source"
    if panel["type"] == "timeseries":
        legend = panel["options"]["legend"]
        if not legend.get("showLegend") or not legend.get("calcs"):
            yield "has no legend with calculations"
    if panel["type"] == "stat" and not panel["options"]["reduceOptions"]["calcs"]:
        yield "selects no value to show"
    if any((target.get("format") == "heatmap") != (panel["type"] == "heatmap") for target in panel["targets"]):
        yield "has a target in the wrong format: heatmaps show buckets, other panels show series"
    if not panel["targets"]:
        yield "has no query"
    for target in panel["targets"]:
        yield from _target(panel, target, catalog)


def _target(panel: Mapping[str, Any], target: Mapping[str, Any], catalog: Mapping[str, Metric]) -> Iterator[str]:
    expr = target["expr"]
    for selector in _SELECTOR.finditer(expr):
        if not selector[2].startswith('job=~"$job", instance=~"$instance"'):
            yield f"{selector[1]} is not restricted to job and instance"
        if selector[1].startswith(_BY_REQUEST) != ('name=~"$request"' in selector[2]):
            yield f"{selector[1]} is not restricted to the selected requests, or has none"
    for call in _RANGE.finditer(expr):
        if call[2] not in _RANGES.get(call[1], ()):
            yield f"{call[1]} over {call[2]}"
    checker = Checker(catalog)
    shape = checker.check(substitute(expr, ALL_SELECTED))
    yield from checker.problems
    strays = set(re.findall(r"{{(\w+)}}", target["legendFormat"])) - (shape.labels or set())
    yield from (f"the legend uses the label {label}, which the series do not have" for label in sorted(strays))
    if not target["legendFormat"]:
        yield "a series has no legend"
    if not checker.problems:
        yield from _unit(panel, target, catalog)


def _unit(panel: Mapping[str, Any], target: Mapping[str, Any], catalog: Mapping[str, Metric]) -> Iterator[str]:
    unit = panel["fieldConfig"]["defaults"].get("unit")
    try:
        wanted = unit_of(substitute(target["expr"], ALL_SELECTED), catalog)
    except ValueError as problem:
        yield str(problem)
        return
    if panel["type"] == "table":
        columns = {
            one["matcher"]["options"]: one["properties"][0]["value"] for one in panel["fieldConfig"]["overrides"]
        }
        unit = columns.get(target["legendFormat"], unit)
    if panel["type"] == "heatmap":
        if panel["options"]["cellValues"]["unit"] != wanted:
            yield f"the unit of its cells is not {wanted}"
        (name,) = re.findall(r"(\w+)_bucket", target["expr"])
        wanted = {"seconds": "s", "bytes": "bytes", "": "short"}[catalog[name].unit]
        unit = unit if panel["options"]["yAxis"]["unit"] == unit else "of its axis differs"
    mixed = {unit, wanted} <= {"mps", "eps"} and len(panel["targets"]) > 1
    if unit != wanted and not mixed:
        yield f"unit {unit}, but {target['refId']} is in {wanted}"
