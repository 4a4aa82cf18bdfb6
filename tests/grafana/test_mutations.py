"""The linter finds every mutation of a dashboard, or of the catalog that it uses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.grafana.committed_dashboards import boards, panels
from tests.grafana.dashboard_linter import known, panel_problems, problems
from tests.grafana.dashboard_mutants import catalog_mutants, panel_mutants, query_mutants
from tests.grafana.test_dashboard_linter import NOT_SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def with_query(panel: Mapping[str, Any], ref: str, expr: str) -> dict[str, Any]:
    """Return a copy of a panel with another query in one place."""
    targets = [one | {"expr": expr} if one["refId"] == ref else one for one in panel["targets"]]
    return dict(panel) | {"targets": targets}


@pytest.mark.parametrize("name", boards())
def test_every_break_of_a_query_is_found(name: str) -> None:
    asked, missed, catalog = 0, [], known()
    for panel in panels(boards()[name]):
        for what, ref, expr in query_mutants(panel):
            asked += 1
            if not any(panel_problems(with_query(panel, ref, expr), catalog)):
                missed.append((panel["title"], what))
    assert asked > 50
    assert missed == []


@pytest.mark.parametrize("name", boards())
def test_every_break_of_a_panel_is_found(name: str) -> None:
    asked, missed, catalog = 0, [], known()
    for panel in panels(boards()[name]):
        for what, broken in panel_mutants(panel):
            asked += 1
            if not any(panel_problems(broken, catalog)):
                missed.append((panel["title"], what))
    assert asked > 30
    assert missed == []


def test_every_break_of_the_catalog_is_found() -> None:
    by_text = [(json.dumps(panel["targets"]), panel) for board in boards().values() for panel in panels(board)]
    missed = []
    for name, what, broken in catalog_mutants():
        catalog = known(broken)
        concerned = [panel for text, panel in by_text if name in text]
        if name not in NOT_SHOWN and not any(any(panel_problems(panel, catalog)) for panel in concerned):
            missed.append(what)
    assert missed == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("editable", True), ("schemaVersion", 2), ("uid", ""), ("tags", []), ("links", []), ("description", ""),
        ("templating", {"list": [{"type": "datasource", "name": "ds", "label": "", "query": "prometheus"}]}),
        ("annotations", {"list": []}), ("__inputs", []),
    ],
)  # fmt: skip
def test_every_break_of_a_dashboard_is_found(key: str, value: object) -> None:
    for name, board in boards().items():
        assert problems(name, board | {key: value})


def test_a_missing_or_additional_variable_is_found() -> None:
    for name, board in boards().items():
        variables = board["templating"]["list"]
        for other in (variables[:-1], [*variables, variables[-1] | {"name": "other", "label": "Other"}]):
            assert problems(name, board | {"templating": {"list": other}})
