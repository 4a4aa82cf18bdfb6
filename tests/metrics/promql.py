"""Check PromQL against the catalog: names, labels, label values, bucket bounds, counters, label matching, units.

Prometheus returns an empty answer for a metric that is not exported, a label that is not set, or two sides whose labels
never match. Here each of these is a problem. Every expression has a shape: the labels that its series carry, the unit
of its values, and whether they only make sense as a rate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import promql_parser as promql

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.metrics.metric import Label, Metric

SCRAPED: Final = frozenset({"job", "instance"})
"""Labels that Prometheus adds to every scraped series."""

RATIO: Final = "ratio"
_RATES: Final = {"rate", "irate", "increase"}
_HISTOGRAM: Final = re.compile("(.+)_(bucket|sum|count)")
_COMPARISONS: Final = {"==", "!=", ">", "<", ">=", "<="}
_SETS: Final = {"and", "or", "unless"}


@dataclass(frozen=True, slots=True)
class Shape:
    """The result of an expression: labels (None for a number), units of values and quantiles, cumulative or not."""

    labels: frozenset[str] | None
    unit: str = ""
    quantile_unit: str = ""
    is_cumulative: bool = False


@dataclass(slots=True)
class Checker:
    """Checks expressions one after the other and collects their problems.

    Attributes:
        catalog: all exported metrics.
        recorded: shapes of recording rules, by name.
    """

    catalog: Mapping[str, Metric]
    recorded: dict[str, Shape] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def check(self, expr: str) -> Shape:
        """Return the shape of an expression; append its problems to `problems`."""
        try:
            tree = promql.parse(expr)
        except ValueError as error:
            self.problems.append(str(error))
            return Shape(SCRAPED)
        shape = self._shape(tree)
        if shape.is_cumulative:
            self.problems.append("a counter is used without a rate")
        return shape

    def _shape(self, node: Any) -> Shape:
        match type(node).__name__:
            case "NumberLiteral":
                return Shape(None)
            case "ParenExpr" | "UnaryExpr":
                return self._shape(node.expr)
            case "VectorSelector":
                return self._selector(node)
            case "MatrixSelector":
                return self._selector(node.vector_selector)
            case "AggregateExpr":
                return self._aggregate(node)
            case "Call":
                return self._call(node)
            case "BinaryExpr":
                return self._binary(node)
        self.problems.append(f"{node}: not supported by this checker")
        return Shape(SCRAPED)

    def _selector(self, node: Any) -> Shape:
        if node.name in self.recorded or node.name == "up":
            shape = self.recorded.get(node.name, Shape(SCRAPED))
            labels: tuple[Label, ...] = ()
        else:
            shape, labels = self._metric(node.name or "")
        for matcher in node.matchers.matchers:
            self._matcher(node.name, matcher, shape, labels)
        return shape

    def _metric(self, name: str) -> tuple[Shape, tuple[Label, ...]]:
        metric = self.catalog.get(name)
        part = ""
        if metric is None and (found := _HISTOGRAM.fullmatch(name)):
            metric, part = self.catalog.get(found[1]), found[2]
        if metric is None or bool(part) != (metric.kind == "histogram"):
            self.problems.append(f"{name}: not exported")
            return Shape(SCRAPED), ()
        labels = SCRAPED | {label.name for label in metric.labels} | ({"le"} if part == "bucket" else set())
        return (
            Shape(
                labels,
                unit="" if part in {"count", "bucket"} else metric.unit,
                quantile_unit=metric.unit if part == "bucket" else "",
                is_cumulative=metric.kind != "gauge",
            ),
            metric.labels,
        )

    def _matcher(self, name: str, matcher: Any, shape: Shape, labels: tuple[Label, ...]) -> None:
        if matcher.name not in (shape.labels or ()):
            self.problems.append(f"{name}: has no label {matcher.name}")
        known: set[str] = set()
        metric = self.catalog.get(name.removesuffix("_bucket"))
        if matcher.name == "le" and metric is not None:
            known = {str(float(bound)) for bound in metric.buckets} | {"+Inf"}
        for label in labels:
            if label.name == matcher.name:
                known = set(label.values)
        if known:
            self.problems += [
                f"{name}: {matcher.name} is never {value}"
                for value in matcher.value.split("|" if "Re" in str(matcher.op) else None)
                if value not in known
            ]

    def _aggregate(self, node: Any) -> Shape:
        shape = self._shape(node.expr)
        labels = shape.labels or frozenset()
        named = frozenset(node.modifier.labels) if node.modifier is not None else frozenset()
        if strange := named - labels:
            self.problems.append(f"{node}: the aggregated series have no label {', '.join(sorted(strange))}")
        without = node.modifier is not None and str(node.modifier.type).endswith("Without")
        unit = "" if str(node.op) == "count" else shape.unit
        return replace(shape, labels=labels - named if without else named, unit=unit)

    def _call(self, node: Any) -> Shape:
        shapes = [self._shape(argument) for argument in node.args]
        name = node.func.name
        shape = next((shape for shape in shapes if shape.labels is not None), Shape(None))
        if name in _RATES:
            if not shape.is_cumulative:
                self.problems.append(f"{node}: only a counter has a rate")
            return replace(shape, is_cumulative=False)
        if name == "histogram_quantile":
            if "le" not in (shape.labels or ()):
                self.problems.append(f"{node}: no buckets for a quantile")
            return Shape((shape.labels or frozenset()) - {"le"}, shape.quantile_unit)
        if name == "absent":
            selector = node.args[0]
            return Shape(frozenset(matcher.name for matcher in selector.matchers.matchers))
        return shape

    def _binary(self, node: Any) -> Shape:
        left, right, op = self._shape(node.lhs), self._shape(node.rhs), str(node.op)
        if left.is_cumulative or right.is_cumulative:
            self.problems.append(f"{node}: a counter is used without a rate")
        matched = node.modifier is not None and node.modifier.matching is not None
        if left.labels is not None and right.labels is not None and not matched and left.labels != right.labels:
            self.problems.append(f"{node}: its two sides never match: {set(left.labels)}, {set(right.labels)}")
        if left.labels is None:
            return replace(right, is_cumulative=False) if op != "/" else Shape(right.labels)
        if op in _COMPARISONS | _SETS or right.labels is None:
            return replace(left, is_cumulative=False)
        if op == "/":
            return Shape(left.labels, RATIO if left.unit == right.unit else left.unit)
        return Shape(left.labels, left.unit)
