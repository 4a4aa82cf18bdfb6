"""Compare the latency of servers below saturation, with a chat load in C: it shares no code with `make bench`.

.venv/bin/python -m benchmarks.generators.latency --rounds 5
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.command import command_parser, with_exit_code
from benchmarks.comparison.servers import OURS, SERVERS
from benchmarks.generators.commands import GeneratorLoad, chat_command
from benchmarks.generators.turns import in_turns, loaded, ratio
from benchmarks.processes import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CLIENTS: Final = 200
_ROOMS: Final = 2
_MESSAGES_PER_S: Final = 505
"""All clients together: 50 000 deliveries a second, as in the workload `latency` of `make bench`."""
_WARM_UP_SECONDS: Final = 1
"""As in `chat.c`."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The latencies of one measurement in ms.

    Attributes:
        p50_ms: median time from the moment at which a message was due to a delivery of it.
        p99_ms: 99th percentile.
        send_delay_p99_ms: 99th percentile of the time after which the generator sent a message that was due.
        lost: deliveries that did not arrive.
    """

    p50_ms: float
    p99_ms: float
    send_delay_p99_ms: float
    lost: int


def measure(key: str, load: GeneratorLoad) -> Latency:
    """Start a server, and offer it a chat load.

    Raises:
        BenchmarkError: the server did not start, closed a connection or delivered nothing.
    """
    out, _ = loaded(key, lambda url: chat_command(url, load, "timed"))
    found = json.loads(out)
    if found["p50_ms"] is None:
        raise BenchmarkError(f"{SERVERS[key].title} delivered nothing after the warm-up")
    lost = found["expected"] - found["deliveries"]
    return Latency(found["p50_ms"], found["p99_ms"], found["send_delay_p99_ms"], lost)


def table(found: Mapping[str, Sequence[Latency]]) -> str:
    """Return the medians, and the ratio of our latency to each server's in the same round, as a Markdown table."""
    head = "| server | p50 | p99 | our p50 over it | our p99 over it |\n|---|---:|---:|---:|---:|\n"
    p50s = {key: [one.p50_ms for one in latencies] for key, latencies in found.items()}
    p99s = {key: [one.p99_ms for one in latencies] for key, latencies in found.items()}
    return head + "\n".join(
        f"| {SERVERS[key].title} | {median(p50s[key]):.2f} ms | {median(p99s[key]):.2f} ms "
        f"| {ratio(p50s[OURS], p50s[key])} | {ratio(p99s[OURS], p99s[key])} |"
        for key in found
    )


def quality(found: Mapping[str, Sequence[Latency]]) -> str:
    """Return what the generator adds to the latencies of all servers, and how many deliveries are missing in them."""
    measured = [one for latencies in found.values() for one in latencies]
    worst = max(one.send_delay_p99_ms for one in measured)
    return (
        f"{sum(one.lost for one in measured)} deliveries did not arrive. The generator sent messages late by "
        f"{worst:.2f} ms at p99 in the worst measurement. All latencies include that delay, the wake-ups of idle CPUs "
        "and the generator's reads, which are the same for all servers."
    )


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print the table."""
    parser = command_parser("benchmarks.generators.latency", __doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each server (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one, after a warm-up (%(default)s)")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.seconds <= 0:
        raise BenchmarkError("--rounds must be at least 1, --seconds above 0")
    load = GeneratorLoad(_CLIENTS, _ROOMS, _MESSAGES_PER_S / _CLIENTS, options.seconds + _WARM_UP_SECONDS)
    found = in_turns(options.rounds, lambda key: measure(key, load))
    print(f"{load.clients} clients in {load.rooms} rooms, {load.deliveries_per_s:,.0f} deliveries/s offered\n")
    print(table(found), quality(found), sep="\n\n")


if __name__ == "__main__":
    sys.exit(main(None))
