"""The dashboards' table of contents; run as a program it writes their JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import (
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
from grafana.layout import LOADTEST_UID, PROCESS_UID, Row, build

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard

FOLDER: Final = Path(__file__).parent / "dashboards"


def dashboards() -> dict[str, Dashboard]:
    """Return each dashboard by the name of its file."""
    return {
        "overview": build(
            "stampede-overview",
            "Chat overview",
            "Is it fine, and if not, where to look: rate, errors, duration, saturation.",
            Row("Is it fine?", health.panels()),
            Row("Rate", traffic.rates()),
            Row("Errors", traffic.errors()),
            Row("Duration", durations.panels()),
            Row("Saturation", saturation.panels()),
        ),
        "rooms": build(
            "stampede-rooms",
            "Rooms, heartbeats and uploads",
            "The details: who is in which rooms, how messages fan out, who stays alive, what is uploaded.",
            Row("Rooms", rooms.panels()),
            Row("Fan-out", rooms.fan_out()),
            Row("Connections", connections.panels()),
            Row("Heartbeats", connections.heartbeats()),
            Row("Uploads", uploads.panels()),
        ),
        "loadtest": build(
            LOADTEST_UID,
            "Load test",
            "The load generator's numbers beside the server's, on one time axis; test runs are shaded.",
            Row("The run", ledger.numbers()),
            Row("Load", ledger.load()),
            Row("Latency", ledger.latency()),
            Row("Storms", storms.panels()),
            Row("Who is the limit?", (*generator.panels(), *generator.workers())),
            Row("Requests", ledger.requests()),
        ),
        "process": build(
            PROCESS_UID,
            "Process and bus",
            "Each server process: event loop, CPU, memory, files, garbage collection, plain requests; the bus between.",
            Row("Releases", process.releases()),
            Row(
                "Event loop",
                (durations.loop_lag(6), durations.loop_lag_heat(6), saturation.cpu(6), process.scrape(6)),
            ),
            Row("Memory and files", (saturation.memory(12), saturation.files(12))),
            Row("Garbage and plain requests", process.garbage()),
            Row("Workers on one port", process.workers()),
            Row("Bus between server processes", bus.panels()),
        ),
    }


def encoded(dashboard: Dashboard) -> bytes:
    """Return the file of a dashboard; the same dashboard gives the same bytes."""
    tree = json.loads(json.dumps(dashboard, cls=JSONEncoder))
    # The library always moves links and annotations into a menu, out of sight (Grafana 12.2 on).
    for control in (*tree["links"], *tree["annotations"]["list"]):
        del control["placement"]
    return (json.dumps(tree, indent=2, sort_keys=True) + "\n").encode()


def main() -> None:
    """Write every dashboard's file."""
    for name, dashboard in dashboards().items():
        path = FOLDER / f"{name}.json"
        path.write_bytes(encoded(dashboard))
        print(path.relative_to(FOLDER.parent.parent))


if __name__ == "__main__":
    main()
