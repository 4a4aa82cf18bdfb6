"""The checks find every mutation of a rule, or of the catalog that it uses."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from metrics.catalog import CATALOG
from tests.metrics.rules import PROFILES, Rule, problems, profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stampede.metrics.metric import Metric

_METRIC = re.compile(r"\b(?:chat|loadtest)_[a-z_]+(?![a-z_]*:)")
_FAMILY_PART = re.compile("_(bucket|sum|count)$")


def rule_mutants(rules: Sequence[Rule]) -> Iterator[tuple[str, list[Rule]]]:
    """Yield a description and the rules with one break."""
    for index, rule in enumerate(rules):
        for what, broken in _broken(rule):
            assert broken != rule, what
            yield f"{rule.name}: {what}", [*rules[:index], broken, *rules[index + 1 :]]


_IN_EXPRESSIONS = (
    ("recorded series", re.compile(r"instance:[a-z_]+:[a-z0-9_]+"), "{}x"),
    ("metric", re.compile(rf"(?<!:){_METRIC.pattern}"), "{}x"),
    ("unit", re.compile(r"(?<=[a-z])_seconds"), "_milliseconds"),
    ("label", re.compile(r'\w+(?=[!=]~?")'), "{}x"),
    ("label value", re.compile(r'(?<=[=~]")(?!chat")[^"|]+'), "{}7"),
    ("label left out", re.compile(r"(?<=without \()\w+"), "{}x"),
    ("rate", re.compile(r"\b(?:rate|increase)\(\w+(?:{[^}]*})?\[\w+\]\)"), "(chat_rooms_created_total)"),
)
_IN_ANNOTATIONS = (
    ("text", re.compile(r"^.+$"), ""),
    ("unit in the text", re.compile(r"humanizeDuration"), "humanizePercentage"),
    ("unit in the text", re.compile(r"humanizePercentage"), "humanize"),
    ("threshold in the text", re.compile(r"250 ms"), "100 ms"),
    ("window in the text", re.compile(r"within \d"), "within 99"),
)


def _broken(rule: Rule) -> Iterator[tuple[str, Rule]]:
    for what, pattern, text in _IN_EXPRESSIONS:
        for place, found in enumerate(pattern.finditer(rule.expr)):
            yield f"{what} {found[0]} ({place})", replace(rule, expr=_with(rule.expr, found, text.format(found[0])))
    if not rule.is_alert:
        yield "name of the series", replace(rule, name=rule.name.replace("chat_", "talk_"))
        return
    yield "name of the alert", replace(rule, name=f"Talk{rule.name}")
    yield "severity", replace(rule, severity="bad")
    yield "no wait", replace(rule, wait="")
    for index, (name, said) in enumerate(rule.annotations):
        for what, pattern, text in _IN_ANNOTATIONS:
            for found in pattern.finditer(said):
                others = list(rule.annotations)
                others[index] = (name, _with(said, found, text))
                yield f"{what} in the {name}", replace(rule, annotations=tuple(others))


def _with(text: str, found: re.Match[str], instead: str) -> str:
    return text[: found.start()] + instead + text[found.end() :]


def catalog_mutants(rules: Sequence[Rule]) -> Iterator[tuple[str, dict[str, Metric]]]:
    """Yield a description and the catalog with one break of a metric that the rules use."""
    asked = "\n".join(rule.expr for rule in rules)
    for name in sorted({_FAMILY_PART.sub("", found) for found in _METRIC.findall(asked)} & CATALOG.keys()):
        metric = CATALOG[name]
        rest = {key: value for key, value in CATALOG.items() if key != name}
        yield f"{name} is gone", rest
        yield f"{name} has another name", {**rest, f"{name}x": replace(metric, name=f"{name}x")}
        if metric.unit:
            other = name.replace(metric.unit, "milliseconds")
            yield f"{name} has another unit", {**rest, other: replace(metric, name=other)}
        kind = {"gauge": "counter", "counter": "gauge", "histogram": "counter"}[metric.kind]
        yield f"{name} is a {kind}", {**rest, name: replace(metric, kind=kind)}  # type: ignore[arg-type] # from Kind
        without = tuple(label for label in metric.labels if re.search(rf"\b{label.name}\b", asked))
        for label in without:
            labels = tuple(replace(lab, name=f"{lab.name}x") if lab is label else lab for lab in metric.labels)
            yield f"{name} has no label {label.name}", {**rest, name: replace(metric, labels=labels)}
        if metric.buckets and f'{name}_bucket{{le="0.25"}}' in asked:
            buckets = tuple(bound for bound in metric.buckets if bound != 0.25)
            yield f"{name} has no bucket at the threshold", {**rest, name: replace(metric, buckets=buckets)}


@pytest.mark.parametrize("name", PROFILES)
def test_every_break_of_a_rule_is_found(name: str) -> None:
    mutants = dict(rule_mutants(profile(name)))
    assert len(mutants) > 150
    assert [what for what, rules in mutants.items() if not problems(rules, CATALOG)] == []


@pytest.mark.parametrize("name", PROFILES)
def test_every_break_of_the_catalog_is_found_in_the_rules(name: str) -> None:
    rules = profile(name)
    mutants = dict(catalog_mutants(rules))
    assert len(mutants) > 60
    assert [what for what, catalog in mutants.items() if not problems(rules, catalog)] == []


@pytest.mark.parametrize("label", ["reason", "outcome", "direction"])
def test_a_removed_label_value_is_found(label: str) -> None:
    removed = {"draining", "failed", "received"}
    catalog = {
        name: replace(
            metric,
            labels=tuple(
                replace(one, values=tuple(value for value in one.values if value not in removed))
                if one.name == label
                else one
                for one in metric.labels
            ),
        )
        for name, metric in CATALOG.items()
    }
    assert problems(profile("production"), catalog) != []


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ("chat_connections_opened_total > 5", "without a rate"),
        ("rate(chat_connections[1m])", "only a counter"),
        ("chat_ping_rtt_seconds > 1", "not exported"),
        ("histogram_quantile(0.9, rate(chat_ping_rtt_seconds_sum[1m]))", "no buckets"),
        ('rate(chat_ping_rtt_seconds_bucket{le="0.1"}[1m]) / rate(chat_ping_rtt_seconds_count[1m])', "never match"),
        ("sum by (room) (chat_rooms)", "have no label"),
        ("sum(chat_rooms) + ", "invalid"),
        ("label_values(chat_rooms)", "unknown function"),
    ],
)
def test_expressions_without_an_answer_are_found(expr: str, problem: str) -> None:
    found = problems([Rule("instance:chat_rooms:x", expr, is_alert=False)], CATALOG)
    assert any(problem in line for line in found), found
