"""Every query of every panel has an answer from a real Prometheus that scraped a real run."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

from PIL import Image

from tests.grafana.committed_dashboards import Query, boards, marks, panels, queries, selection, substitute
from tests.grafana.dashboard_mutants import query_mutants
from tests.grafana.preview import answered
from tests.grafana.preview_drawing import draw
from tests.grafana.recorded_queries import InvalidQueryError, RecordedQueries
from tests.grafana.recording import SILENT, SLOW_CONSUMERS, record_run
from tests.metrics.fixtures import MISSING, skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# Mutants that still have an answer; the linter finds them.
_NOT_SEEN_LIVE = ("label summed by", "range", "rate", "selected requests")


def test_every_query_of_every_panel_has_an_answer(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    if shutil.which("prometheus") is None:
        skip_or_fail(MISSING)
    with record_run(tmp_path) as recording:
        recorded = RecordedQueries(recording, recording.start, recording.end)
        check_recording(recorded)
        choices = variable_values(recorded)
        asked = [query for name, board in boards().items() for query in (*queries(name, board), *marks(name, board))]
        assert [str(query) for query in asked if not has_answer(recorded, query)] == []
        for name, board in boards().items():
            one_by_one = {variable: selection(values) for variable, values in choices[name].items()}
            assert [str(query) for query in queries(name, board) if not has_answer(recorded, query, one_by_one)] == []
        broken = count_unanswered_mutants(recorded)
        for name, board in boards().items():
            picture = Image.open(io.BytesIO(draw(board, answered(name, board, recorded))))
            assert picture.width > 1000
    shown = sum(len(panels(board)) for board in boards().values())
    record_property(
        "proved",
        f"grafana: {shown} panels, {len(asked)} queries answered by a live Prometheus; "
        f"{broken} broken queries were not; {recording.end - recording.start:.0f} s of recording",
    )


def check_recording(recorded: RecordedQueries) -> None:
    """Check that the recording contains the events that the dashboards show."""
    seen = recorded.recording.prometheus.value
    assert seen("max(max_over_time(chat_draining[5m]))") == 1
    assert seen("max(max_over_time(chat_slow_consumers[5m]))") >= SLOW_CONSUMERS
    assert seen("max(max_over_time(chat_heartbeat_kills_total[5m]))") >= SILENT
    assert seen("max(max_over_time(loadtest_resync_duration_seconds_count[5m]))") > 0
    assert seen('max(max_over_time(chat_uploads_total{outcome="saved"}[5m]))') > 0


def variable_values(recorded: RecordedQueries) -> dict[str, dict[str, list[str]]]:
    """Return the values that each variable offers, by dashboard and variable."""
    choices = {}
    for name, board in boards().items():
        _, *asked = board["templating"]["list"]
        choices[name] = {one["name"]: recorded.values(one["query"]["query"]) for one in asked}
        jobs = ["chat", "loadtest"] if name == "loadtest" else ["chat"]
        assert choices[name]["job"] == jobs
        # One server, and on two dashboards also the generator or the parent of two other servers.
        assert len(choices[name]["instance"]) == (2 if name in {"loadtest", "process"} else 1)
    return choices


def has_answer(recorded: RecordedQueries, query: Query, values: Mapping[str, str] | None = None) -> bool:
    """Return whether a query has a finite series; an invalid query has none."""
    try:
        return bool(recorded.lines(query, values) if values else recorded.lines(query))
    except InvalidQueryError:
        return False


def count_unanswered_mutants(recorded: RecordedQueries) -> int:
    """Break names, labels and values in every query and check that none has an answer; return the number of mutants."""
    missed, asked = [], 0
    for name, board in boards().items():
        for panel in panels(board):
            for what, ref, expr in query_mutants(panel):
                if what.startswith(_NOT_SEEN_LIVE) or "or vector(0)" in expr:
                    continue
                asked += 1
                instant = any(one["refId"] == ref and one["instant"] for one in panel["targets"])
                if has_answer(recorded, Query(name, panel["title"], expr, ref=ref, instant=instant)):
                    missed.append((name, panel["title"], what))
    assert missed == []
    return asked


def test_variables_are_substituted_as_grafana_does() -> None:
    expr = 'rate(x{job=~"$job", instance=~"$instance"}[$__rate_interval])'
    values = {"job": ".+", "instance": selection(["127.0.0.1:80", "b"])}
    assert substitute(expr, values) == r'rate(x{job=~".+", instance=~"(127\\.0\\.0\\.1:80|b)"}[4s])'
