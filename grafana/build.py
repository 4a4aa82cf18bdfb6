"""The table of contents of the dashboards; `python -m grafana.build` writes their JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.layout import LOADTEST_UID, PROCESS_UID, Row, build
from grafana.sections import (
    bus,
    connections,
    durations,
    generator,
    health,
    ledger,
    process,
    rooms,
    saturation,
    storms,
    traffic,
    uploads,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard

FOLDER: Final = Path(__file__).parent / "dashboards"


def dashboards() -> dict[str, Dashboard]:
    """Return each dashboard by its file name."""
    return {
        "overview": build(
            "stampede-overview",
            "Chat overview",
            "Rate, errors, duration and saturation of all servers at a glance.",
            Row("Health", health.panels()),
            Row("Rate", traffic.rates()),
            Row("Errors", traffic.errors()),
            Row("Duration", durations.panels()),
            Row("Saturation", saturation.panels()),
        ),
        "rooms": build(
            "stampede-rooms",
            "Rooms, heartbeats and uploads",
            "Details: rooms, fan-out, connections, heartbeats, uploads.",
            Row("Rooms", rooms.panels()),
            Row("Fan-out", rooms.fan_out()),
            Row("Connections", connections.panels()),
            Row("Heartbeats", connections.heartbeats()),
            Row("Uploads", uploads.panels()),
        ),
        "loadtest": build(
            LOADTEST_UID,
            "Load test",
            "The load generator beside the server, on one time axis; test runs are shaded.",
            Row("Run", ledger.numbers()),
            Row("Load", ledger.load()),
            Row("Latency", ledger.latency()),
            Row("Storms", storms.panels()),
            Row("Bottleneck", (*generator.panels(), *generator.workers())),
            Row("Requests", ledger.requests()),
        ),
        "process": build(
            PROCESS_UID,
            "Process and bus",
            "Each server process: event loop, CPU, memory, files, garbage collection, plain requests; the bus "
            "between them.",
            Row("Releases", process.releases()),
            Row(
                "Event loop",
                (durations.loop_lag(6), durations.loop_lag_heatmap(6), saturation.cpu(6), process.scrape(6)),
            ),
            Row("Memory and files", (saturation.memory(12), saturation.files(12))),
            Row("Garbage collection and plain requests", process.garbage()),
            Row("Workers on one port", process.workers()),
            Row("Bus between server processes", bus.panels()),
        ),
    }


def encode(dashboard: Dashboard) -> bytes:
    """Return the file content of a dashboard, identical for identical dashboards."""
    tree = json.loads(json.dumps(dashboard, cls=JSONEncoder))
    # With a placement, Grafana 12.2 and later hides links and annotations in a menu.
    for control in (*tree["links"], *tree["annotations"]["list"]):
        del control["placement"]
    return (json.dumps(tree, indent=2, sort_keys=True) + "\n").encode()


def main() -> None:
    """Write the file of every dashboard."""
    for name, dashboard in dashboards().items():
        path = FOLDER / f"{name}.json"
        path.write_bytes(encode(dashboard))
        print(path.relative_to(FOLDER.parent.parent))


if __name__ == "__main__":
    main()
