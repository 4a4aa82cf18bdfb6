"""Draw every dashboard from a real run's answers into `grafana/previews`: `python -m tests.grafana.preview`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grafana.build import FOLDER
from tests.grafana.committed_dashboards import boards, marks, panels, queries
from tests.grafana.preview_drawing import PreviewData, draw
from tests.grafana.recorded_queries import RecordedQueries
from tests.grafana.recording import record_run

if TYPE_CHECKING:
    from collections.abc import Mapping

PREVIEWS: Final = FOLDER.parent / "previews"


def answered(name: str, board: Mapping[str, Any], recorded: RecordedQueries) -> PreviewData:
    """Query everything that a dashboard shows."""
    by_panel = {panel["id"]: panel["title"] for panel in panels(board)}
    asked = {(query.title, query.ref): recorded.lines(query) for query in queries(name, board)}
    lines = {
        number: {ref: found for (of, ref), found in asked.items() if of == title} for number, title in by_panel.items()
    }
    runs, alerts = (recorded.lines(query) for query in marks(name, board))
    return PreviewData(recorded.start, recorded.end, lines, runs, alerts)


def main() -> None:
    """Record a run with longer pauses than the test needs, and draw it as of just before the server drains."""
    with tempfile.TemporaryDirectory() as folder, record_run(Path(folder), pause_seconds=9) as recording:
        recorded = RecordedQueries(recording, recording.start, recording.live)
        PREVIEWS.mkdir(exist_ok=True)
        for name, board in boards().items():
            path = PREVIEWS / f"{name}.png"
            path.write_bytes(draw(board, answered(name, board, recorded)))
            print(path.relative_to(FOLDER.parent.parent))


if __name__ == "__main__":
    main()
