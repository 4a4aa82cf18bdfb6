"""Make single changes that break a query or a panel of a dashboard, or the catalog that it uses."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from metrics.catalog import CATALOG
from stampede.metrics.metric import Label, Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_IN_QUERIES: Final = (
    ("metric", re.compile(r"\b[a-z]+(?:_[a-z]+)*(?={)"), "{}x"),
    ("label", re.compile(r'\w+(?==~?")'), "{}x"),
    ("label value", re.compile(r'(?<==")[^"]+'), "{}7"),
    ("label summed by", re.compile(r"(?<=by \()\w+"), "{}x"),
    ("range", re.compile(r"\$__\w+"), "5m"),
    ("rate", re.compile(r"\brate\("), "abs("),
    ("selected requests", re.compile(r', name=~"\$request"'), ""),
)
_UNITS: Final = {"s": "ms", "bytes": "decbytes", "binBps": "bytes", "percentunit": "percent", "short": "s",
                 "mps": "s", "eps": "short", "reqps": "short"}  # fmt: skip


def query_mutants(panel: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield a description, the ref id of a panel's query, and the broken query."""
    for target in panel["targets"]:
        expr = target["expr"]
        for what, pattern, text in _IN_QUERIES:
            for found in pattern.finditer(expr):
                broken = expr[: found.start()] + text.format(found[0]) + expr[found.end() :]
                yield f"{what} {found[0]}", target["refId"], broken


def panel_mutants(panel: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a description and a panel with one break outside of its queries."""
    for key in ("title", "description", "datasource"):
        yield f"no {key}", {name: value for name, value in panel.items() if name != key}
    unit = deepcopy(panel)
    unit["fieldConfig"]["defaults"]["unit"] = _UNITS[panel["fieldConfig"]["defaults"]["unit"]]
    yield "another unit", unit
    if panel["type"] == "heatmap":
        for where in ("yAxis", "cellValues"):
            other = deepcopy(panel)
            other["options"][where]["unit"] = _UNITS[panel["options"][where]["unit"]]
            yield f"another unit of {where}", other
    if panel["type"] == "timeseries":
        hidden = deepcopy(panel)
        hidden["options"]["legend"]["showLegend"] = False
        yield "no legend", hidden
    for place, target in enumerate(panel["targets"]):
        for what, text in (("no name", ""), ("label of the legend", target["legendFormat"].replace("}}", "x}}"))):
            if text != target["legendFormat"]:
                other = deepcopy(panel)
                other["targets"][place]["legendFormat"] = text
                yield f"{what} {target['refId']}", other


def catalog_mutants() -> Iterator[tuple[str, str, dict[str, Metric]]]:
    """Yield a metric, a description of the change, and the changed catalog."""
    for name, metric in CATALOG.items():
        rest = {other: one for other, one in CATALOG.items() if other != name}
        yield name, f"{name} is gone", rest
        for place, label in enumerate(metric.labels):
            labels = (*metric.labels[:place], Label(f"{label.name}x", label.values), *metric.labels[place + 1 :])
            yield name, f"{name} without {label.name}", rest | {name: replace(metric, labels=labels)}
        yield name, f"{name} of another kind", rest | {name: replace(metric, kind=_other_kind(metric))}


def _other_kind(metric: Metric) -> Any:
    return "counter" if metric.kind == "gauge" else "gauge"
