"""The JSON schema of a run's summary."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest

from stampede.measure.report import Totals
from stampede.verdict.summary import Circumstances, RunResult
from stampede.verdict.summary_data import summary_data
from stampede.verdict.summary_schema import summary_schema
from tests.stampede.verdict.summaries import result
from tests.tables import ROOT

LASTS = Circumstances(has_ended=False, seconds=1.5)


def check(data: object) -> None:
    jsonschema.validate(data, summary_schema(), jsonschema.Draft202012Validator)


def test_the_schema_is_one_and_its_published_copy_is_up_to_date() -> None:
    jsonschema.Draft202012Validator.check_schema(summary_schema())
    assert json.loads((ROOT / "docs/summary.schema.json").read_text()) == summary_schema()


@pytest.mark.parametrize(
    "run",
    [
        result("loss<5%"),
        result("loss<1%", "resync_p95<5s"),
        result("loss<1%", problems=["CPU"]),
        result(circumstances=LASTS),
        RunResult(Totals([])),
    ],
    ids=["passing", "failing", "invalid", "lasting", "empty"],
)
def test_every_summary_is_valid(run: RunResult) -> None:
    check(json.loads(summary_data(run).to_json()))


@pytest.mark.parametrize(
    ("path", "value"),
    [(("verdict",), "good"), (("thresholds", 0, "result"), "missed"), (("ledger", "lost"), "none"), (("users",), 1.5)],
)
def test_another_value_is_refused(path: tuple[str | int, ...], value: object) -> None:
    data = msgspec.to_builtins(summary_data(result("loss<5%")))
    *parents, last = path
    inner = data
    for key in parents:
        inner = inner[key]
    inner[last] = value
    with pytest.raises(jsonschema.ValidationError):
        check(data)


def test_a_missing_field_is_refused() -> None:
    data = msgspec.to_builtins(summary_data(result()))
    del data["ledger"]["lost"]
    with pytest.raises(jsonschema.ValidationError, match="'lost' is a required property"):
        check(data)
