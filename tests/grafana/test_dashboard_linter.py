"""The committed dashboards follow every rule, and show every metric of the catalog."""

from __future__ import annotations

import re

import pytest

from metrics.catalog import CATALOG
from tests.grafana.committed_dashboards import boards, queries
from tests.grafana.dashboard_linter import problems

# Metrics that no panel shows, each with the reason.
NOT_SHOWN = {
    "loadtest_address_deliveries_total": "a server with one address has none; the summary of a run tells them apart",
    "loadtest_address_deliveries_lost_total": "a server with one address has none; the summary of a run has them",
    "loadtest_joins_unconfirmed_total": "with most dialects 0 or the number of joins; the summary of a run has it",
}


@pytest.mark.parametrize("name", boards())
def test_a_dashboard_keeps_every_rule(name: str) -> None:
    assert problems(name, boards()[name]) == []


def test_every_metric_is_shown_or_listed_with_a_reason() -> None:
    asked = " ".join(query.expr for name, board in boards().items() for query in queries(name, board))
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"[a-z_]+(?={)", asked)}
    assert {name for name in CATALOG if name not in shown} == set(NOT_SHOWN)


def test_no_dashboard_has_the_uid_or_the_title_of_another() -> None:
    found = list(boards().values())
    assert len({board["uid"] for board in found}) == len({board["title"] for board in found}) == len(found) == 4
