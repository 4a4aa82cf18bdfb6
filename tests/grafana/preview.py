"""Draw every dashboard from a real run's answers into `grafana/previews`: `python -m tests.grafana.preview`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grafana.build import FOLDER
from tests.grafana.asking import Asking
from tests.grafana.boards import boards, marks, panels, queries
from tests.grafana.drawing import Answered, draw
from tests.grafana.stage import recorded

if TYPE_CHECKING:
    from collections.abc import Mapping

PREVIEWS: Final = FOLDER.parent / "previews"


def answered(name: str, board: Mapping[str, Any], asking: Asking) -> Answered:
    """Ask everything that a dashboard shows."""
    by_panel = {panel["id"]: panel["title"] for panel in panels(board)}
    asked = {(query.title, query.ref): asking.lines(query) for query in queries(name, board)}
    lines = {
        number: {ref: found for (of, ref), found in asked.items() if of == title} for number, title in by_panel.items()
    }
    runs, alerts = (asking.lines(query) for query in marks(name, board))
    return Answered(asking.start, asking.end, lines, runs, alerts)


def main() -> None:
    """Play a run with longer calm than the test needs, and draw it as it was just before the server went away."""
    with tempfile.TemporaryDirectory() as folder, recorded(Path(folder), quiet_seconds=9) as recording:
        asking = Asking(recording, recording.start, recording.live)
        PREVIEWS.mkdir(exist_ok=True)
        for name, board in boards().items():
            path = PREVIEWS / f"{name}.png"
            path.write_bytes(draw(board, answered(name, board, asking)))
            print(path.relative_to(FOLDER.parent.parent))


if __name__ == "__main__":
    main()
