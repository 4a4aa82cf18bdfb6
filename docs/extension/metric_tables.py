"""Tables of the metrics and of the alerts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from docs.extension.markdown import code, codes, plain, table
from metrics.catalog import BUS, PARENT, SERVER
from stampede.metrics.catalog import GENERATOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stampede.metrics.metric import Metric

_RULES: Final = Path(__file__).parent.parent.parent / "metrics" / "prometheus" / "rules"
_CONFIGURATIONS: Final = ("loadtest", "production", "recording")


def server() -> str:
    """Return the metrics of each server."""
    return _metrics(SERVER)


def bus() -> str:
    """Return the metrics that only a server on a bus has."""
    return _metrics(BUS)


def parent() -> str:
    """Return the metrics of the parent of several server processes."""
    return _metrics(PARENT)


def load_generator() -> str:
    """Return the metrics of the load generator."""
    return _metrics(GENERATOR)


def alerts() -> str:
    """Return the alerts of each configuration."""
    sections = []
    for name in _CONFIGURATIONS:
        groups = yaml.safe_load((_RULES / f"{name}.yml").read_text())["groups"]
        found = [rule for group in groups for rule in group["rules"] if "alert" in rule]
        if found:
            rows = (
                (
                    code(rule["alert"]),
                    rule["labels"]["severity"],
                    rule.get("for", ""),
                    code(" ".join(rule["expr"].split())),
                )
                for rule in found
            )
            sections.append(f"## `{name}.yml`\n\n" + table(("alert", "severity", "for", "expression"), rows))
    return "\n".join(sections)


def _metrics(metrics: Iterable[Metric]) -> str:
    return table(("metric", "type", "labels and their values", "meaning"), map(_row, metrics))


def _row(metric: Metric) -> tuple[str, ...]:
    labels = [f"{code(one.name)}: {codes(one.values) or 'any'}" for one in metric.labels]
    if metric.buckets:
        labels.append(f"buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}")
    return code(metric.name), metric.kind, "; ".join(labels), plain(metric.help)
