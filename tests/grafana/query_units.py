"""Derive the unit of a query from its metrics, and the Grafana unit that displays it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import promql_parser as promql

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.metrics.metric import Metric

Dimension = tuple[str, bool]  # what is counted, and whether it is a rate per second
RATIO: Final[Dimension] = ("ratio", False)
COUNT: Final[Dimension] = ("count", False)
_PLAIN: Final = {
    ("seconds", False): "s",
    ("seconds", True): "percentunit",  # CPU seconds per second: the share of a core
    ("bytes", False): "bytes",
    ("bytes", True): "binBps",
    COUNT: "short",
    ("values", False): "short",
    RATIO: "percentunit",
}
_MESSAGES: Final = re.compile("message|deliver|limited|fanout_recipients")
_REQUESTS: Final = re.compile("request")
_COMPARISONS: Final = {"==", "!=", ">", "<", ">=", "<="}
_SETS: Final = {"and", "or", "unless"}


def unit_of(expr: str, catalog: Mapping[str, Metric]) -> str:
    """Return the Grafana unit that an expression needs.

    Raises:
        ValueError: its parts do not go together.
    """
    tree = promql.parse(expr)
    dimension = _dimension(tree, catalog)
    return _rate_unit(expr) if dimension == ("count", True) else _PLAIN[dimension]


def _rate_unit(expr: str) -> str:
    """Return messages or requests per second, or events per second for both or other events."""
    names = re.findall(r"\b(?:chat|locust|loadtest|python|process)_\w+(?={)", expr)
    names = [name for name in names if not name.endswith(("_info", "_running"))]
    if names and all(map(_MESSAGES.search, names)):
        return "mps"
    return "reqps" if names and all(map(_REQUESTS.search, names)) else "eps"


def _dimension(node: Any, catalog: Mapping[str, Metric]) -> Dimension:
    match type(node).__name__:
        case "ParenExpr" | "AggregateExpr":
            return _dimension(node.expr, catalog)
        case "VectorSelector":
            return _selected(node.name, catalog)
        case "MatrixSelector":
            return _selected(node.vector_selector.name, catalog)
        case "Call":
            return _called(node, catalog)
        case "BinaryExpr":
            return _joined(node, catalog)
    raise ValueError(f"{node}: not supported by this test")


def _selected(name: str, catalog: Mapping[str, Metric]) -> Dimension:
    if name == "up":
        return COUNT
    if name.endswith(("_bucket", "_count")):
        return COUNT
    metric = catalog[name.removesuffix("_sum")]
    return (metric.unit or ("values" if name.endswith("_sum") else "count"), False)


def _called(node: Any, catalog: Mapping[str, Metric]) -> Dimension:
    match node.func.name:
        case "time":
            return ("seconds", False)
        case "vector":
            return COUNT
        case "rate" | "irate":
            return (_dimension(node.args[0], catalog)[0], True)
        case "increase" | "last_over_time":
            return _dimension(node.args[0], catalog)
        case "histogram_quantile":
            (name,) = set(re.findall(r"(\w+)_bucket", str(node)))
            return (catalog[name].unit or "count", False)
    raise ValueError(f"{node}: not supported by this test")


def _joined(node: Any, catalog: Mapping[str, Metric]) -> Dimension:
    op = str(node.op)
    left = _dimension(node.lhs, catalog)
    if op in _COMPARISONS:
        return COUNT if node.modifier is not None and node.modifier.return_bool else left
    if op == "or" and _dimension(node.rhs, catalog) != left:
        raise ValueError(f"{node}: {left} or {_dimension(node.rhs, catalog)}")
    if op in _SETS:
        return left
    right = _dimension(node.rhs, catalog)
    if op == "/" and left[1] == right[1] and right[0] == "count" != left[0]:
        return (left[0], False)
    if left != right:
        raise ValueError(f"{node}: {left} {op} {right}")
    return RATIO if op == "/" else left
