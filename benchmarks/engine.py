"""What the load generator itself costs: CPU per delivery, and memory.

    .venv/bin/python -m benchmarks.engine --rounds 3

Both are those of a whole `locust -f loadtest` process in its steady state, which has a core of its own where there are
two; deliveries are those it counts meanwhile.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from benchmarks._turns import cpu_seconds
from benchmarks.direct import urlopen
from benchmarks.peers import ROOT, PeerError, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PATIENCE: Final = 120.0
_SETTLE: Final = 3.0
_DELIVERIES: Final = "loadtest_deliveries_total"
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Load:
    """Users in rooms of one size, each saying so much a second; `goal_us` is the CPU that a delivery may cost."""

    users: int
    room_size: int
    rate: float
    goal_us: float

    @property
    def deliveries_per_s(self) -> float:
        """Deliveries offered a second."""
        return self.users * self.rate * (self.room_size - 1)


LOADS: Final = (Load(200, 100, 10.0, 6), Load(200, 100, 2.5, 10), Load(2000, 20, 0.5, 15))
CROWD: Final = Load(10_000, 20, 0.02, 0)
CROWD_GOAL_MIB: Final = 400


@dataclass(frozen=True, slots=True)
class Cost:
    """What a steady state cost: deliveries a second, CPU of one in us, and the memory of the process in MiB."""

    deliveries_per_s: float
    cpu_us: float
    memory_mib: float


def measure(load: Load, seconds: float) -> Cost:
    """Run a load in one Locust process against a server of our own, and measure a window of it.

    Raises:
        PeerError: a process did not start, or ended; or the users did not get into their rooms.
    """
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        command = stampede_command("--upload-dir", folder, "--log-level", "error", "--handshake-rate", "0")
        with running(command, cores[-1]) as server, _herd(server.url, load, cores[0]) as (process, port):
            deadline = time.monotonic() + _PATIENCE
            while not (_page(port).get("loadtest_connections", 0) >= load.users and _members(server.url) >= load.users):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise PeerError(f"{load.users} users did not get into their rooms")
                time.sleep(0.5)
            time.sleep(_SETTLE)
            before, cpu, began = _page(port)[_DELIVERIES], cpu_seconds(process.pid), time.monotonic()
            time.sleep(seconds)
            after, used, took = _page(port)[_DELIVERIES], cpu_seconds(process.pid) - cpu, time.monotonic() - began
            if after <= before:
                raise PeerError("nothing was delivered")
            return Cost((after - before) / took, 1e6 * used / (after - before), _rss(process.pid) / _MIB)


@contextmanager
def _herd(url: str, load: Load, core: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run Locust with an exporter, on one core; its port comes with it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "locust", "-f", "loadtest", "ChattingUser", "--headless", "--only-summary"),
        *("--host", url, "-u", str(load.users), "-r", str(load.users), "--loglevel", "ERROR"),
        *("--room-size", str(load.room_size), "--message-rate", str(load.rate), "--prometheus-port", str(port)),
    ]
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    finally:
        os.sched_setaffinity(0, ours)
    with process:
        try:
            yield process, port
        finally:
            process.kill()  # its last words are of no interest


def _page(port: int) -> dict[str, float]:
    """Return the plain samples of the exporter; none while it does not answer."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            page = answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return {}
    families = text_string_to_metric_families(page)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def _members(url: str) -> float:
    """Return how many joins the server has counted."""
    with urlopen(url.replace("ws://", "http://") + "/metrics", timeout=30) as answer:
        for line in answer:
            if line.startswith(b"chat_room_joins_total "):
                return float(line.split()[1])
    return 0.0


def _rss(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def table(found: Sequence[tuple[Load, Sequence[Cost]]]) -> str:
    """Return the medians of all rounds as a Markdown table, with the goals."""
    lines = [
        "| load | offered/s | taken/s | CPU per delivery | rounds | goal |",
        "|---|---|---|---|---|---|",
    ]
    for load, costs in found:
        single = sorted(cost.cpu_us for cost in costs)
        lines.append(
            f"| {load.users:,} users in rooms of {load.room_size} | {load.deliveries_per_s:,.0f} "
            f"| {median(cost.deliveries_per_s for cost in costs):,.0f} | {median(single):.1f} us "
            f"| {single[0]:.1f}-{single[-1]:.1f} us | {load.goal_us:g} us |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print all costs; exit code 0, or 2 with one line for what is unusable."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m benchmarks.engine", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each load (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="window of a round (%(default)s)")
    parser.add_argument("--only", choices=("cpu", "memory"), help="measure one of the two")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.seconds <= 0:
        print("give a round and some seconds at least", file=sys.stderr)
        return 2
    try:
        if options.only in (None, "cpu"):
            found: dict[Load, list[Cost]] = {load: [] for load in LOADS}
            for _ in range(options.rounds):
                for load in LOADS:
                    found[load].append(measure(load, options.seconds))
            print(table(list(found.items())))
        if options.only in (None, "memory"):
            cost = measure(CROWD, 1.0)
            print(
                f"\n{CROWD.users:,} connected users in one process: {cost.memory_mib:.0f} MiB (goal {CROWD_GOAL_MIB})"
            )
    except (PeerError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
