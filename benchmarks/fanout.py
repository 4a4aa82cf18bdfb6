"""Compare fan-out: our server and a plain Node `ws` server under the same load, in the same run.

    python -m benchmarks.fanout --rounds 3 --seconds 4

Servers take turns, each round with a fresh process on a CPU of its own, the driver on another. Compare ratios and CPU
per delivery; absolute figures belong to the machine. A round in which the driver was the limit is shown as invalid
and counts for nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks._driver import Herd, Load
from benchmarks.peers import PeerError, plain_command, running, stampede_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

WARM_UP_SECONDS: Final = 1.0
DRIVER_LIMIT: Final = 0.95
"""Share of a CPU above which the driver, not the server, may have been the limit."""

_COLUMNS: Final = (
    *("server", "deliveries/s", "its CPU", "waited for CPU", "CPU us/delivery", "p50 ms", "p99 ms"),
    *("messages/s sent", "driver CPU", "valid"),
)

OURS: Final = "Stampede"
PEER: Final = "Node ws"


@dataclass(frozen=True, slots=True)
class Round:
    """One server under load for one window; rates per second, CPU as a share of one.

    `server_kept_waiting` is the share of the window in which it could have run but had no CPU, because others used it.
    `problem` says why the figures must not be used.
    """

    server: str
    offered_per_s: float
    sent_per_s: float
    deliveries_per_s: float
    server_cpu: float
    server_kept_waiting: float
    cpu_us_per_delivery: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    driver_cpu: float
    problem: str | None


def run_round(name: str, command: Sequence[str], load: Load, seconds: float, cpus: tuple[int, int] | None) -> Round:
    """Start a server, offer it the load, and return what was measured.

    Args:
        name: of the server, for the table.
        command: that starts it and says where it listens.
        load: what is offered.
        seconds: length of the window.
        cpus: one for the server, one for the driver; None pins nobody.

    Raises:
        PeerError: the server did not start.
        OSError: it refused or closed connections.
    """
    marks: list[tuple[float, float]] = []
    with running(command, cpus[0] if cpus else None) as server, _pinned(cpus[1] if cpus else None):
        process = psutil.Process(server.process.pid)

        def mark() -> None:
            used = process.cpu_times()
            marks.append((used.user + used.system, _waited_seconds(process)))

        with Herd(server.url, load) as herd:
            tally = herd.run(WARM_UP_SECONDS, seconds, mark)
    used, waited = (end - start for start, end in zip(*marks, strict=True))
    return Round(
        server=name,
        offered_per_s=tally.offered / tally.seconds,
        sent_per_s=tally.sent / tally.seconds,
        deliveries_per_s=tally.deliveries / tally.seconds,
        server_cpu=used / tally.seconds,
        server_kept_waiting=waited / tally.seconds,
        cpu_us_per_delivery=used / tally.deliveries * 1e6 if tally.deliveries else None,
        latency_p50_ms=tally.latency_ms(0.5),
        latency_p99_ms=tally.latency_ms(0.99),
        driver_cpu=tally.driver_share,
        problem=_problem(tally.driver_share, tally.deliveries, uniform=tally.uniform),
    )


def _waited_seconds(process: psutil.Process) -> float:
    """Return how long the main thread was ready to run without running (Linux, sched-stats.rst)."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9


def _problem(driver_share: float, deliveries: int, *, uniform: bool) -> str | None:
    if driver_share > DRIVER_LIMIT:
        return f"the driver used {driver_share:.0%} of its CPU"
    if not uniform:
        return "deliveries differed in size"
    if not deliveries:
        return "nothing was delivered"
    return None


def run_rounds(
    servers: Mapping[str, Sequence[str]], load: Load, seconds: float, rounds: int, report: Callable[[Round], None]
) -> list[Round]:
    """Measure the servers in turn, several times over; raises as `run_round` does."""
    available = sorted(os.sched_getaffinity(0))
    cpus = (available[-1], available[0]) if len(available) > 1 else None
    measured = []
    for _ in range(rounds):
        for name, command in servers.items():
            measured.append(run_round(name, command, load, seconds, cpus))
            report(measured[-1])
    return measured


def ratios(measured: Sequence[Round], figure: Callable[[Round], float | None]) -> list[float]:
    """Return our figure over the peer's, for each round in which both are valid and known, ascending."""
    ours = [done for done in measured if done.server == OURS]
    theirs = [done for done in measured if done.server == PEER]
    found = []
    for pair in zip(ours, theirs, strict=False):
        mine, others = (figure(done) if done.problem is None else None for done in pair)
        if mine and others:
            found.append(mine / others)
    return sorted(found)


def _deliveries(done: Round) -> float:
    return done.deliveries_per_s


def _deliveries_per_cpu_second(done: Round) -> float | None:
    return 1e6 / done.cpu_us_per_delivery if done.cpu_us_per_delivery else None


def table(measured: Sequence[Round]) -> str:
    """Return the Markdown table: the median of the valid rounds, with the lowest and the highest."""
    lines = [
        f"| {' | '.join(_COLUMNS)} |",
        "|" + "---|" * len(_COLUMNS),
    ]
    for name in dict.fromkeys(done.server for done in measured):
        rounds = [done for done in measured if done.server == name]
        valid = [done for done in rounds if done.problem is None]
        columns = (
            _spread([done.deliveries_per_s for done in valid], ",.0f"),
            _spread([done.server_cpu for done in valid], ".0%"),
            _spread([done.server_kept_waiting for done in valid], ".0%"),
            _spread([done.cpu_us_per_delivery for done in valid], ".2f"),
            _spread([done.latency_p50_ms for done in valid], ",.1f"),
            _spread([done.latency_p99_ms for done in valid], ",.1f"),
            _spread([done.sent_per_s for done in valid], ",.0f"),
            _spread([done.driver_cpu for done in valid], ".0%"),
        )
        lines.append(f"| {name} | {' | '.join(columns)} | {len(valid)} of {len(rounds)} |")
    lines += [""] + [f"Invalid: {done.server}, {done.problem}." for done in measured if done.problem]
    between, per_cpu = ratios(measured, _deliveries), ratios(measured, _deliveries_per_cpu_second)
    if between:
        lines.append(
            f"{OURS} delivers {_spread(between, '.1f')} times what {PEER} delivers, "
            f"and {_spread(per_cpu, '.1f')} times as much per CPU second."
        )
    else:
        lines.append("No ratio: no round is valid for both.")
    return "\n".join(lines)


def _spread(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "none"
    return f"{median(known):{form}} ({min(known):{form}} to {max(known):{form}})"


@contextmanager
def _pinned(cpu: int | None) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison that the flags ask for; exit code 0, or 2 with one line for what is unusable."""
    options = _parser().parse_args(arguments)
    load = Load(options.clients, options.rooms, options.rate)
    if load.clients < 2 * load.rooms:
        print("every room needs two clients or more: give more --clients or fewer --rooms", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as uploads:
            servers = {OURS: stampede_command("--upload-dir", uploads), PEER: plain_command()}
            measured = run_rounds(servers, load, options.seconds, options.rounds, _progress)
        print(
            f"{load.clients} clients in {load.rooms} rooms, {load.rate:,} messages/s offered, texts of 32 bytes, "
            f"{options.rounds} rounds of {options.seconds:g} s; median (lowest to highest)\n\n{table(measured)}"
        )
        if options.json:
            report = {
                "load": asdict(load),
                "rounds": [asdict(done) for done in measured],
                "ratios": ratios(measured, _deliveries),
                "ratios_per_cpu_second": ratios(measured, _deliveries_per_cpu_second),
            }
            options.json.write_text(json.dumps(report, indent=2) + "\n")
    except (PeerError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def _progress(done: Round) -> None:
    print(f"{done.server}: {done.deliveries_per_s:,.0f} deliveries/s", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=_at_least_one, default=3, help="rounds of each server (%(default)s)")
    parser.add_argument("--seconds", type=_seconds, default=4.0, help="window of a round (%(default)s)")
    parser.add_argument("--clients", type=_at_least_one, default=200, help="(%(default)s)")
    parser.add_argument("--rooms", type=_at_least_one, default=2, help="(%(default)s)")
    parser.add_argument("--rate", type=_at_least_one, default=20_000, help="messages/s offered in total (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures there")
    return parser


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    # A server may drop a client that leaves its ping unanswered, after 30 s at the earliest.
    try:
        if 0 < float(text) <= 20:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and at most 20")


if __name__ == "__main__":
    sys.exit(main())
