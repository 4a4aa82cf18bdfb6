"""The documents list all metrics and alerts as the code has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from metrics.catalog import BUS, CATALOG, PARENT, SERVER
from server.settings import table
from stampede.metrics.catalog import GENERATOR
from tests.metrics.promql import Checker
from tests.metrics.rules import PROFILES, alerts, profile
from tests.tables import ROOT, rows

if TYPE_CHECKING:
    from stampede.metrics.metric import Metric

README = "metrics/README.md"
RUNBOOK = (ROOT / "metrics" / "runbook.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.DOTALL | re.MULTILINE))
ALL = {rule.name: rule for name in PROFILES for rule in alerts(name)}
RECORDED = {rule.name for name in PROFILES for rule in profile(name) if not rule.is_alert}


@pytest.mark.parametrize(
    ("heading", "metrics"),
    [
        ("## Metrics of the server", SERVER),
        ("## Metrics of a server on a bus", BUS),
        ("## Metrics of the parent of several processes", PARENT),
        ("## Metrics of the load generator", GENERATOR),
    ],
)
def test_every_metric_is_described_as_the_catalog_has_it(heading: str, metrics: tuple[Metric, ...]) -> None:
    listed = rows(README, heading)
    assert [row[:4] for row in listed] == [
        [metric.name, metric.kind, "`, `".join(label.name for label in metric.labels), metric.help]
        for metric in metrics
    ]
    assert all(row[4] for row in listed), "every metric has a use"


def test_every_alert_is_listed_with_its_severity_and_wait() -> None:
    waits = {name: {rule.name: rule.wait for rule in alerts(name)} for name in PROFILES}
    listed = {}
    for linked, severity, when, *waits_for in rows(README, "## Alerts"):
        name, anchor = re.fullmatch(r"\[`(\w+)`\]\(runbook\.md#(\w+)\)", linked).groups()  # type: ignore[union-attr]
        assert anchor == name.lower()
        assert when
        listed[name] = (severity, waits_for)
    assert listed == {
        name: (rule.severity, [waits["loadtest"].get(name, ""), waits["production"].get(name, "")])
        for name, rule in ALL.items()
    }


def test_the_listed_limits_are_those_of_the_rules() -> None:
    recorded = {rule.name: rule.expr for name in PROFILES for rule in profile(name) if not rule.is_alert}
    checked = 0
    for linked, _, when, *_ in rows(README, "## Alerts"):
        rule = ALL[re.findall(r"\w+", linked)[0]]
        if "error budget" in when:
            continue  # what a burn rate uses up follows from its factor and its window
        exprs = " ".join([rule.expr, *(expr for name, expr in recorded.items() if name in rule.expr)])
        limits = {float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])", exprs)}
        for number, unit in re.findall(r"(\d[\d.]*) (%|ms)", when):
            assert float(number) / (100 if unit == "%" else 1000) in limits, (rule.name, number, unit)
            checked += 1
    assert checked >= 11


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert set(SECTIONS) == set(ALL)
    assert list(SECTIONS) == [re.findall(r"\w+", row[0])[0] for row in rows(README, "## Alerts")]


@pytest.mark.parametrize("alert", SECTIONS)
def test_a_section_has_the_parts_means_look_at_and_do(alert: str) -> None:
    parts = re.findall(r"^\*\*(.+?)\*\* (.+)", SECTIONS[alert], re.MULTILINE)
    assert [lead for lead, _ in parts] == ["Means.", "Look at.", "Do."]


@pytest.mark.parametrize("document", [README, "metrics/runbook.md"])
def test_names_in_the_documents_exist(document: str) -> None:
    words = set(re.findall(r"`([^`\n]+)`", (ROOT / document).read_text()))
    flags = {row.flag for row in table()} | {"--prometheus-port", "--processes"}
    assert {word for word in words if re.fullmatch("--[a-z-]+", word)} <= flags
    assert {word for word in words if re.fullmatch(r"Chat\w+", word)} <= set(ALL)
    assert {word for word in words if word.startswith("instance:")} <= RECORDED
    own = {word for word in words if re.fullmatch(r"(chat|locust|loadtest)_\w+", word)}
    assert own <= {*CATALOG, *(f"{name}_count" for name in CATALOG)}
    limits = {row.flag for row in table()}
    assert {word for word in words if word.startswith("--max")} <= limits


def test_the_queries_of_the_runbook_match_the_catalog() -> None:
    checker = Checker(CATALOG)
    for query in set(re.findall(r"`((?:rate\(|up).+?)`", RUNBOOK)) - {"up"}:
        if "process_" not in query:
            checker.check(query)
    assert checker.problems == []


def test_links_lead_to_existing_files() -> None:
    for document in (README, "metrics/runbook.md"):
        text = (ROOT / document).read_text()
        for target in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (ROOT / "metrics" / target).exists(), target
