"""The summary of a run as data."""

from __future__ import annotations

import json

import msgspec
import pytest

from stampede.measure.report import Totals
from stampede.measure.storm import Storm
from stampede.measure.storm_results import results
from stampede.verdict import summary_fields
from stampede.verdict.summary import Circumstances, RunResult
from stampede.verdict.summary_data import summary_data
from stampede.verdict.summary_fields import QuantilesMs, SummaryData
from tests.stampede.measure.reports import report
from tests.stampede.verdict.summaries import result
from tests.tables import ROOT, rows

SECOND = 1_000_000_000


def of(run: RunResult) -> SummaryData:
    """Return the data of a run's JSON: it must keep every field."""
    data = summary_data(run)
    assert msgspec.json.decode(data.to_json(), type=SummaryData) == data
    return data


def test_the_names_of_the_object_are_the_documented_ones() -> None:
    shown = json.loads(of(result("loss<5%")).to_json())
    assert list(shown) == [
        *("verdict", "reasons", "exit_code", "users", "seconds", "dialect", "scenario", "timed_users", "thresholds"),
        *("ledger", "latency_ms", "generator", "requests", "storms"),
    ]
    (threshold,) = shown["thresholds"]
    assert list(threshold) == ["expression", "result", "windows", "failed_windows", "worst"]
    ledger = ["expected", "received", "lost", "duplicated", "reordered", "in_flight", "divergent"]
    assert list(shown["ledger"]) == ledger
    assert list(shown["latency_ms"]) == ["intended", "sent"]
    assert list(shown["latency_ms"]["sent"]) == ["p50", "p90", "p99", "p99.9", "max"]
    assert list(shown["generator"]) == ["send_lag_ms", "loop_lag_ms", "cpu", "memory_mib", "workers"]
    assert list(shown["requests"]["connect"]) == ["count", "failures", "p50", "p99"]


@pytest.mark.parametrize(
    ("texts", "problems", "verdict", "code", "results"),
    [
        (("loss<5%",), [], "valid", 0, ["met"]),
        (("loss<1%",), [], "valid", 99, ["failed"]),
        (("loss<1%", "resync_p95<5s"), [], "valid", 99, ["failed", "unmeasured"]),
        (("loss<5%", "resync_p95<5s"), [], "invalid", 98, ["met", "unmeasured"]),
        (("loss<1%",), ["CPU: 99% of a core"], "invalid", 98, ["failed"]),
    ],
)
def test_the_verdict_is_invalid_exactly_if_the_exit_code_says_so(
    texts: tuple[str, ...], problems: list[str], verdict: str, code: int, results: list[str]
) -> None:
    data = of(result(*texts, problems=problems))
    assert (data.verdict, data.exit_code) == (verdict, code)
    assert [threshold.result for threshold in data.thresholds] == results
    assert bool(data.reasons) == (verdict == "invalid")


def test_an_unmeasured_threshold_has_no_value_and_is_a_reason() -> None:
    data = of(result("search:p95<1s"))
    (threshold,) = data.thresholds
    assert (threshold.windows, threshold.failed_windows, threshold.worst) == (0, 0, None)
    assert data.reasons == ["search:p95<1s unmeasured: no request of this name"]


def test_a_failed_threshold_has_its_windows_and_its_worst_value() -> None:
    (threshold,) = of(result("loss<1%")).thresholds
    assert (threshold.windows, threshold.failed_windows, threshold.worst) == (2, 1, 0.02)
    assert threshold.text == "failed in 1 of 2 windows: worst 2 %"


def test_nothing_is_known_of_a_run_without_a_report() -> None:
    data = of(RunResult(Totals([])))
    assert set(msgspec.to_builtins(data.ledger).values()) == {None}
    for quantiles in (data.latency_ms.intended, data.latency_ms.sent, data.generator.send_lag_ms):
        assert set(msgspec.to_builtins(quantiles).values()) == {None}
    assert (data.users, data.seconds, data.generator.cpu, data.generator.memory_mib) == (None, None, None, None)
    assert data.requests == {}


def test_an_order_that_was_not_compared_is_unknown() -> None:
    one = report(0)
    assert of(RunResult(Totals([one]))).ledger.divergent == 2
    one.figures.order.members = one.figures.order.divergent = 0
    assert of(RunResult(Totals([one]))).ledger.divergent is None


def test_a_run_that_lasts_has_neither_verdict_nor_exit_code() -> None:
    data = of(result("resync_p95<5s", circumstances=Circumstances(has_ended=False, users=3, locust_exit_code=0)))
    assert (data.verdict, data.exit_code, data.reasons, data.users) == (None, None, [], 3)


def test_without_thresholds_the_exit_code_is_that_of_locust() -> None:
    assert of(result(circumstances=Circumstances(locust_exit_code=1))).exit_code == 1


def test_requests_have_the_times_of_those_that_succeeded() -> None:
    requests = of(result()).requests
    assert (requests["connect"].count, requests["connect"].failures) == (4, 3)
    assert requests["deliver"].p50 == of(result()).latency_ms.intended.p50
    assert "ping" not in requests


def test_a_storm_has_its_times_in_milliseconds_and_none_for_those_that_have_not_come() -> None:
    one = Storm(1, 10 * SECOND, 4.0, 8)
    for index in range(4):
        one.drop(10 * SECOND + 1_000_000 * index)
    for _ in range(2):
        one.reconnect(12 * SECOND)
        one.resync(12 * SECOND, 2 * SECOND, [], 0)
    (storm,) = of(RunResult(Totals([report(0)]), results([one.part(13 * SECOND)]))).storms
    assert (storm.number, storm.at_seconds, storm.users, storm.dropped, storm.resynced) == (1, 4.0, 8, 4, 2)
    assert storm.drop_ms == 3.0
    assert storm.resync_ms.p50 == pytest.approx(2000, rel=0.02)
    assert (storm.resync_ms.p95, storm.resync_ms.max, storm.unaffected_p99_ms) == (None, None, None)


def fields_of(kind: type[msgspec.Struct], prefix: str = "") -> list[str]:
    """Return the names of a structure's fields in JSON, and those of the structures in them, except percentiles."""
    found = []
    for field in msgspec.structs.fields(kind):
        name = prefix + field.encode_name
        inner = [one for one in vars(summary_fields).values() if _contains(field.type, one)]
        if not inner:
            found.append(name)
            continue
        origin = str(getattr(field.type, "__origin__", ""))
        mark = "[]." if "list" in origin else ".NAME." if "dict" in origin else "."
        found += [one for struct in inner for one in fields_of(struct, name + mark)]
    return found


def _contains(kind: object, struct: object) -> bool:
    is_struct = (
        isinstance(struct, type) and issubclass(struct, msgspec.Struct) and struct not in {msgspec.Struct, QuantilesMs}
    )
    return is_struct and (kind is struct or struct in getattr(kind, "__args__", ()))


def test_the_document_lists_all_fields_in_their_order() -> None:
    assert [name for name, _, _ in rows("docs/summary.md", "## Fields")] == fields_of(SummaryData)
    percentiles = " and ".join(", ".join(f"`{name}`" for name in fields_of(QuantilesMs)).rsplit(", ", 1))
    assert f"*Percentiles* are an object of {percentiles}" in (ROOT / "docs/summary.md").read_text()
