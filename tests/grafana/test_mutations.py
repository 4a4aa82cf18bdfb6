"""The linter can fail: whatever is broken in a dashboard, or in the catalog behind it, is found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from metrics.catalog import BUS
from tests.grafana.boards import boards, panels
from tests.grafana.lint import problems
from tests.grafana.mutants import board_mutants, catalog_mutants, query_mutants

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def with_query(board: Mapping[str, Any], place: str, expr: str) -> dict[str, Any]:
    """Return a copy of a dashboard, or only of that panel of it, with another query at `title / ref`."""
    title, _, ref = place.rpartition(" / ")
    (panel,) = (panel for panel in panels(board) if panel["title"] == title)
    copy = json.loads(json.dumps(panel))
    for target in copy["targets"]:
        if target["refId"] == ref:
            target["expr"] = expr
    return dict(board) | {"panels": [copy if one is panel else one for one in board["panels"]]}


@pytest.mark.parametrize("name", boards())
def test_every_break_of_a_query_is_found(name: str) -> None:
    board = boards()[name]
    mutants = list(query_mutants(board))
    missed = [(place, what) for place, expr, what in mutants if not problems(name, with_query(board, place, expr))]
    assert len(mutants) > 50
    assert missed == []


@pytest.mark.parametrize("name", boards())
def test_every_break_of_a_panel_is_found(name: str) -> None:
    mutants = list(board_mutants(boards()[name]))
    assert len(mutants) > 30
    assert [what for what, broken in mutants if not problems(name, broken)] == []


def test_every_break_of_the_catalog_is_found() -> None:
    spared = {metric.name for metric in BUS}
    found = boards()
    missed = [
        what
        for what, catalog in catalog_mutants()
        if what.split()[0] not in spared and not any(problems(name, board, catalog) for name, board in found.items())
    ]
    assert missed == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("editable", True), ("schemaVersion", 2), ("uid", ""), ("tags", []), ("links", []), ("description", ""),
        ("templating", {"list": [{"type": "datasource", "name": "ds", "label": "", "query": "prometheus"}]}),
        ("annotations", {"list": []}), ("__inputs", []),
    ],
)  # fmt: skip
def test_every_break_of_the_board_is_found(key: str, value: object) -> None:
    for name, board in boards().items():
        assert problems(name, board | {key: value})
