"""Every query of every panel has an answer, from a real Prometheus that watched a real run."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

from PIL import Image

from tests.grafana.asking import Asking, RefusedError
from tests.grafana.boards import Query, boards, fill, marks, panels, picked, queries
from tests.grafana.drawing import draw
from tests.grafana.mutants import query_mutants
from tests.grafana.preview import answered
from tests.grafana.stage import SILENT, SLEEPERS, recorded
from tests.metrics.fixtures import MISSING, do_without

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# Those that a live answer cannot show: the linter finds them.
_NOT_SEEN_LIVE = ("label summed by", "range", "rate")


def test_every_query_of_every_panel_has_an_answer(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    if shutil.which("prometheus") is None:
        do_without(MISSING)
    with recorded(tmp_path) as recording:
        asking = Asking(recording, recording.start, recording.end)
        story(asking)
        choices = variables(asking)
        asked = [query for name, board in boards().items() for query in (*queries(name, board), *marks(name, board))]
        assert [str(query) for query in asked if not answers(asking, query)] == []
        for name, board in boards().items():
            one_by_one = {variable: picked(values) for variable, values in choices[name].items()}
            assert [str(query) for query in queries(name, board) if not answers(asking, query, one_by_one)] == []
        broken = mutants_are_found(asking)
        for name, board in boards().items():
            picture = Image.open(io.BytesIO(draw(board, answered(name, board, asking))))
            assert picture.width > 1000
    shown = sum(len(panels(board)) for board in boards().values())
    record_property(
        "proved",
        f"grafana: {shown} panels, {len(asked)} queries answered by a live Prometheus; "
        f"{broken} broken queries were not; {recording.end - recording.start:.0f} s of recording",
    )


def story(asking: Asking) -> None:
    """Make sure that what the dashboards are about has happened."""
    seen = asking.recording.prometheus.value
    assert seen("max(max_over_time(chat_draining[5m]))") == 1
    assert seen("max(max_over_time(chat_slow_consumers[5m]))") >= SLEEPERS
    assert seen("max(max_over_time(chat_heartbeat_kills_total[5m]))") >= SILENT
    assert seen("max(max_over_time(loadtest_resync_duration_seconds_count[5m]))") > 0
    assert seen('max(max_over_time(chat_uploads_total{outcome="saved"}[5m]))') > 0


def variables(asking: Asking) -> dict[str, dict[str, list[str]]]:
    """Return what each dashboard's variables offer: what is there, and nothing else."""
    choices = {}
    for name, board in boards().items():
        _, *asked = board["templating"]["list"]
        choices[name] = {one["name"]: asking.values(one["query"]["query"]) for one in asked}
        jobs = ["chat", "loadtest"] if name == "loadtest" else ["chat"]
        assert choices[name]["job"] == jobs
        # One server; on the dashboards of those the generator, and the parent of two others.
        assert len(choices[name]["instance"]) == (2 if name in {"loadtest", "process"} else 1)
    return choices


def answers(asking: Asking, query: Query, values: Mapping[str, str] | None = None) -> bool:
    """Whether a query has a finite series; one that is refused has none."""
    try:
        return bool(asking.lines(query, values) if values else asking.lines(query))
    except RefusedError:
        return False


def mutants_are_found(asking: Asking) -> int:
    """Break names, labels and values in every query: none may have an answer. Return how many were asked."""
    missed, asked = [], 0
    for name, board in boards().items():
        for panel in panels(board):
            for what, ref, expr in query_mutants(panel):
                if what.startswith(_NOT_SEEN_LIVE) or "or vector(0)" in expr:
                    continue
                asked += 1
                instant = any(one["refId"] == ref and one["instant"] for one in panel["targets"])
                if answers(asking, Query(name, panel["title"], expr, ref=ref, instant=instant)):
                    missed.append((name, panel["title"], what))
    assert missed == []
    return asked


def test_variables_are_filled_as_grafana_does() -> None:
    expr = 'rate(x{job=~"$job", instance=~"$instance"}[$__rate_interval])'
    values = {"job": ".+", "instance": picked(["127.0.0.1:80", "b"])}
    assert fill(expr, values) == r'rate(x{job=~".+", instance=~"(127\\.0\\.0\\.1:80|b)"}[4s])'
