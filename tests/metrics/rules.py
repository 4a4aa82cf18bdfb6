"""Read the rule files and find problems that `promtool check rules` does not find."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.metrics.promql import RATIO, SCRAPED, Checker
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stampede.metrics.metric import Metric

PROMETHEUS: Final = ROOT / "metrics" / "prometheus"
PROFILES: Final = {"loadtest": ("recording", "loadtest"), "production": ("recording", "production")}
"""The rule files of the two configurations."""

SEVERITIES: Final = {"critical", "warning", "info"}
_RECORDED: Final = re.compile(r"instance:([a-z_]+):[a-z0-9_]+")
_WITHIN: Final = re.compile(r"within (\d+[smhd])")
_SHOWN: Final = {"seconds": "humanizeDuration", RATIO: "humanizePercentage"}
"""The template function for values of each unit."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording rule or an alert; missing parts are empty."""

    name: str
    expr: str
    is_alert: bool
    wait: str = ""
    severity: str = ""
    annotations: tuple[tuple[str, str], ...] = ()

    def annotation(self, name: str) -> str:
        """Return an annotation, empty if there is none."""
        return dict(self.annotations).get(name, "")


def load(file: str) -> list[Rule]:
    """Return the rules of a file in `rules/`, in order."""
    groups = yaml.safe_load((PROMETHEUS / "rules" / f"{file}.yml").read_text())["groups"]
    return [_rule(entry) for group in groups for entry in group["rules"]]


def profile(name: str) -> list[Rule]:
    """Return all rules of a configuration, in the order in which it loads them."""
    return [rule for file in PROFILES[name] for rule in load(file)]


def alerts(name: str) -> list[Rule]:
    """Return the alerts of a configuration."""
    return [rule for rule in profile(name) if rule.is_alert]


def problems(rules: Sequence[Rule], catalog: Mapping[str, Metric]) -> list[str]:
    """Return the problems of the rules of a configuration, one line each."""
    checker = Checker(catalog)
    recorded: dict[str, str] = {}
    found: list[str] = []
    for rule in rules:
        checker.problems = []
        shape = checker.check(rule.expr)
        wrong = list(checker.problems)
        if shape.labels != SCRAPED and not rule.expr.startswith("absent("):
            wrong.append(f"gives the labels {sorted(shape.labels or ())}, not job and instance")
        if rule.is_alert:
            behind = [expr for name, expr in recorded.items() if name in rule.expr]
            wrong += _alert_problems(rule, shape.unit, "".join((rule.expr, *behind)))
        else:
            wrong += _name_problems(rule, catalog)
            checker.recorded[rule.name], recorded[rule.name] = shape, rule.expr
        found += [f"{rule.name}: {problem}" for problem in wrong]
    return found


def _rule(entry: Mapping[str, Any]) -> Rule:
    if "record" in entry:
        return Rule(entry["record"], entry["expr"], is_alert=False)
    return Rule(
        entry["alert"],
        entry["expr"],
        is_alert=True,
        wait=entry.get("for", ""),
        severity=entry["labels"]["severity"],
        annotations=tuple(entry["annotations"].items()),
    )


def _name_problems(rule: Rule, catalog: Mapping[str, Metric]) -> Iterable[str]:
    found = _RECORDED.fullmatch(rule.name)
    if found is None:
        yield "is not named level:metric:operations"
    elif found[1] not in {metric.family for metric in catalog.values()}:
        yield f"{found[1]} is not a metric"
    elif found[1] not in rule.expr:
        yield f"does not use {found[1]}"


def _alert_problems(rule: Rule, unit: str, exprs: str) -> Iterable[str]:
    if not re.fullmatch("Chat([A-Z][a-z]+)+", rule.name):
        yield "is not named Chat..."
    if rule.severity not in SEVERITIES:
        yield f"severity {rule.severity}"
    if not rule.wait:
        yield "fires without a waiting time (for)"
    for name in ("summary", "description"):
        if not rule.annotation(name):
            yield f"has no {name}"
    if rule.annotation("runbook_url") != f"{{{{ $externalURL }}}}/user/runbook.md#{rule.name.lower()}":
        yield "links to no section of the runbook"
    description = rule.annotation("description")
    if (shown := _SHOWN.get(unit)) and "$value" in description and f"$value | {shown}" not in description:
        yield f"shows {unit} without {shown}"
    if not shown and re.search(r"humanize(Duration|Percentage)", description):
        yield "shows a plain number as a duration or a percentage"
    yield from (
        f"its text names a window of {window}, the query does not"
        for window in _WITHIN.findall(description)
        if f"[{window}]" not in rule.expr
    )
    limits = {float(limit) * 1000 for limit in re.findall(r'le="([0-9.]+)"', exprs)}
    said = {float(ms) for ms in re.findall(r"(\d+) ms", description)}
    if limits and said != limits:
        yield f"its text names {said} ms, the query {limits}"
