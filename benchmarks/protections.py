"""What all protections together cost: deliveries per CPU second of a server with them, and of one without.

Both are the same server under the same load, in turns; the load stays below what a client may send, so that nothing is
held back. Compared are medians of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks._driver import Load
from benchmarks.fanout import run_rounds
from benchmarks.peers import PeerError, stampede_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.fanout import Round

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
"""Each is turned off by a 0."""

LOADS: Final = (Load(200, 2, 8000), Load(200, 100, 8000))
"""Many recipients, where the fan-out costs most, and one, where each message does."""


def compare(load: Load, seconds: float, rounds: int) -> tuple[float, list[Round]]:
    """Return how many deliveries a CPU second gives with protections, over without; and the rounds behind it.

    Raises:
        PeerError: a server did not start, or no round of one of them is valid.
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
        raise PeerError(f"no valid round: {[done.problem for done in measured if done.problem]}")
    return median(costs[BARE]) / median(costs[PROTECTED]), measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison; exit code 0, or 2 with one line for what is unusable."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m benchmarks.protections", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each server (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="window of a round (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        for load in LOADS:
            ratio, measured = compare(load, options.seconds, options.rounds)
            valid = sum(done.problem is None for done in measured)
            print(
                f"{load.clients} clients in {load.rooms} rooms, {load.rate:,} messages/s: with all protections "
                f"{ratio:.1%} of the deliveries per CPU second ({valid} of {len(measured)} rounds valid)"
            )
    except (PeerError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
