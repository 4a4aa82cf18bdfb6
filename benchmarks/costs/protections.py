"""Measure what all limits together cost: deliveries per CPU second of the server with and without them.

The same server runs under the same load in turns. The load stays below the limits, so that no message is delayed. The
medians of the rounds are compared.
"""

from __future__ import annotations

import sys
import tempfile
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.command import command_parser, with_exit_code
from benchmarks.comparison.fanout import run_rounds
from benchmarks.load.driver import ChatLoad
from benchmarks.processes import BenchmarkError, stampede_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.comparison.fanout import Round

PROTECTED: Final = "protected"
BARE: Final = "unprotected"
LIMITS: Final = (
    "--max-connections",
    "--max-connections-per-address",
    "--handshake-rate",
    "--message-rate",
    "--buffer-soft-limit",
    "--buffer-hard-limit",
    "--slow-timeout",
    "--presence-threshold",
)
"""A value of 0 turns each of them off."""

LOADS: Final = (ChatLoad(200, 2, 8000), ChatLoad(200, 100, 8000))
"""Large rooms, where the fan-out dominates, and rooms of two, where the handling of each message does."""


def compare(load: ChatLoad, seconds: float, rounds: int) -> tuple[float, list[Round]]:
    """Return the ratio of deliveries per CPU second with limits to those without, and the measured rounds.

    Raises:
        BenchmarkError: a server did not start, or no round of one of them is valid.
    """
    with tempfile.TemporaryDirectory() as uploads:
        flags = ("--upload-dir", uploads, "--drain-seconds", "0")
        off = tuple(word for flag in LIMITS for word in (flag, "0"))
        on = ("--max-connections-per-address", "10000")
        servers = {PROTECTED: stampede_command(*flags, *on), BARE: stampede_command(*flags, *off)}
        measured = run_rounds(servers, load, seconds, rounds, lambda _done: None)
    costs = {
        name: [
            done.cpu_us_per_delivery
            for done in measured
            if done.server == name and done.problem is None and done.cpu_us_per_delivery
        ]
        for name in servers
    }
    if not all(costs.values()):
        raise BenchmarkError(f"no valid round: {[done.problem for done in measured if done.problem]}")
    return median(costs[BARE]) / median(costs[PROTECTED]), measured


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print the comparison."""
    parser = command_parser("benchmarks.costs.protections", __doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each server (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="window of a round (%(default)s)")
    options = parser.parse_args(arguments)
    for load in LOADS:
        ratio, measured = compare(load, options.seconds, options.rounds)
        valid = sum(done.problem is None for done in measured)
        print(
            f"{load.clients} clients in {load.rooms} rooms, {load.rate:,} messages/s: with all limits "
            f"{ratio:.1%} of the deliveries per CPU second ({valid} of {len(measured)} rounds valid)"
        )


if __name__ == "__main__":
    sys.exit(main(None))
