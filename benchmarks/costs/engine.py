"""Measure the load generator itself: CPU per delivery, and memory.

    .venv/bin/python -m benchmarks.costs.engine --rounds 3

Both figures belong to a whole `locust -f loadtest` process in its steady state. On a machine with several CPUs
the process has its own CPU. Deliveries are those that the generator counts in the window.
"""

from __future__ import annotations

import os
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

from benchmarks.command import command_parser, with_exit_code
from benchmarks.http_client import urlopen
from benchmarks.processes import ROOT, BenchmarkError, cpu_seconds, pinned, running, stampede_command
from capacity.processes.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TIMEOUT: Final = 120.0
_SETTLE: Final = 3.0
_DELIVERIES: Final = "loadtest_deliveries_total"
_MIB: Final = 1 << 20

BUILT_IN: Final = ("loadtest", "ChattingUser")
OWN: Final = ("benchmarks/costs/own_user.py", "OwnUser")


@dataclass(frozen=True, slots=True)
class UserLoad:
    """Users in rooms of one size, messages per second of each user, and the goal for the CPU of a delivery in us."""

    users: int
    room_size: int
    rate: float
    goal_us: float

    @property
    def deliveries_per_s(self) -> float:
        """Offered deliveries per second."""
        return self.users * self.rate * (self.room_size - 1)


LOADS: Final = (UserLoad(200, 100, 10.0, 6), UserLoad(200, 100, 2.5, 10), UserLoad(2000, 20, 0.5, 15))
OWN_LOAD: Final = UserLoad(400, 50, 1.0, 0)
"""Users of an own scenario send at this rate, see `own_user.py`."""

OWN_GOAL: Final = 1.2
MANY_USERS: Final = UserLoad(10_000, 20, 0.02, 0)
MANY_USERS_GOAL_MIB: Final = 400


@dataclass(frozen=True, slots=True)
class Cost:
    """One measurement.

    Attributes:
        cpu_us: CPU per delivery in us; `server_us`: that of the server, 0 if it was not measured.
        memory_mib: resident memory of the process.
    """

    deliveries_per_s: float
    cpu_us: float
    memory_mib: float
    server_us: float = 0.0


def measure(load: UserLoad, seconds: float, users: Sequence[str] = BUILT_IN) -> Cost:
    """Run a load in one Locust process against our own server, and measure a window of its steady state.

    Args:
        load: to run.
        seconds: length of the window.
        users: the locustfile and the user class, and other options of Locust.

    Raises:
        BenchmarkError: a process did not start, or ended; or the users did not connect.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = stampede_command("--upload-dir", folder, "--log-level", "error", "--handshake-rate", "0")
        with running(command, server_core()) as server:
            return measure_at(server.url, load, seconds, users)


def server_core() -> int:
    """Return the core of the server; the load generator has another one, if there are several."""
    return max(os.sched_getaffinity(0))


def measure_at(
    url: str, load: UserLoad, seconds: float, users: Sequence[str] = BUILT_IN, server_pid: int | None = None
) -> Cost:
    """Run a load in one Locust process against a running server; the arguments are those of `measure`.

    With `server_pid`, the CPU of the server is measured in the same window.

    Raises:
        BenchmarkError: the process ended, or the users did not connect.
    """
    with _locust(url, load, min(os.sched_getaffinity(0)), users) as (process, port):
        deadline = time.monotonic() + _TIMEOUT
        while _page(port).get("loadtest_connections", 0) < load.users:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"{load.users} users did not connect")
            time.sleep(0.5)
        time.sleep(_SETTLE)
        before, cpu, began = _page(port)[_DELIVERIES], cpu_seconds(process.pid), time.monotonic()
        server_cpu = cpu_seconds(server_pid) if server_pid else 0.0
        time.sleep(seconds)
        after, used, took = _page(port)[_DELIVERIES], cpu_seconds(process.pid) - cpu, time.monotonic() - began
        server_used = cpu_seconds(server_pid) - server_cpu if server_pid else 0.0
        if after <= before:
            raise BenchmarkError("nothing was delivered")
        taken = after - before
        return Cost(taken / took, 1e6 * used / taken, _rss(process.pid) / _MIB, 1e6 * server_used / taken)


@contextmanager
def _locust(url: str, load: UserLoad, core: int, users: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run Locust with its Prometheus exporter on one core; yield the process and the exporter's port."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "locust", "-f", *users, "--headless", "--only-summary"),
        *("--host", url, "-u", str(load.users), "-r", str(load.users), "--loglevel", "ERROR"),
        *("--room-size", str(load.room_size), "--message-rate", str(load.rate), "--prometheus-port", str(port)),
    ]
    with pinned(core):
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    with process:
        try:
            yield process, port
        finally:
            process.kill()  # its summary is not needed


def _page(port: int) -> dict[str, float]:
    """Return the exporter's samples without labels; empty while it does not answer."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            page = answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return {}
    families = text_string_to_metric_families(page)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def _rss(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def table(found: Sequence[tuple[UserLoad, Sequence[Cost]]]) -> str:
    """Return the medians of all rounds and the goals as a Markdown table."""
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


def own_line(pairs: Sequence[Sequence[float]]) -> str:
    """Return what a delivery costs in an own scenario, given the CPU of both kinds of users in each round, in us."""
    built_in, own = (median(costs) for costs in zip(*pairs, strict=True))
    ratios = sorted(second / first for first, second in pairs)
    return (
        f"\n{OWN_LOAD.users} users in rooms of {OWN_LOAD.room_size}, a message per second: ChattingUser "
        f"{built_in:.1f} us of CPU per delivery, own tasks {own:.1f} us, {median(ratios):.2f} times "
        f"({ratios[0]:.2f}-{ratios[-1]:.2f}, goal {OWN_GOAL:g})"
    )


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print all costs."""
    parser = command_parser("benchmarks.costs.engine", __doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each load (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="window of a round (%(default)s)")
    parser.add_argument("--only", choices=("cpu", "memory", "own"), help="measure only one of the three")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.seconds <= 0:
        raise BenchmarkError("--rounds must be at least 1 and --seconds above 0")
    if options.only in (None, "cpu"):
        found: dict[UserLoad, list[Cost]] = {load: [] for load in LOADS}
        for _ in range(options.rounds):
            for load in LOADS:
                found[load].append(measure(load, options.seconds))
        print(table(list(found.items())))
    if options.only in (None, "own"):
        pairs = [
            tuple(measure(OWN_LOAD, options.seconds, users).cpu_us for users in (BUILT_IN, OWN))
            for _ in range(options.rounds)
        ]
        print(own_line(pairs))
    if options.only in (None, "memory"):
        cost = measure(MANY_USERS, 1.0)
        print(
            f"\n{MANY_USERS.users:,} connected users in one process: {cost.memory_mib:.0f} MiB "
            f"(goal {MANY_USERS_GOAL_MIB})"
        )


if __name__ == "__main__":
    sys.exit(main(None))
