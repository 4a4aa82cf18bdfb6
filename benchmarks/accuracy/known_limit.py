"""The limit of a chat server in Python: CPU time for each message, or a rate of messages."""

from __future__ import annotations

import argparse
import asyncio
import math
import time


def parse_limits() -> argparse.Namespace:
    """Return the options `work` and `rate` of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=float, default=0.0, metavar="SECONDS", help="CPU time of each message")
    parser.add_argument("--rate", type=float, default=math.inf, help="messages a second; later ones wait")
    return parser.parse_args()


class KnownLimit:
    """Delays messages, so that the server has a limit that is known."""

    def __init__(self, work: float, rate: float) -> None:
        """Create the limit.

        Args:
            work: CPU seconds that each message takes, with everything that the process does for it.
            rate: messages a second; later ones wait.
        """
        self._work = work
        self._interval = 1 / rate
        self._used = 0.0  # CPU time of this process at the end of the previous message
        self._free_at = 0.0  # when the next message may be published

    async def apply(self) -> None:
        """Work for a message and wait for its turn.

        The CPU time since the previous message counts as work: a full core processes exactly `1 / work` messages a
        second.
        """
        while time.process_time() - self._used < self._work:
            pass
        self._used = time.process_time()
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + self._interval
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)
