"""Measure the CPU that the delivery ledger and the statistics add to the load generator.

    .venv/bin/python -m benchmarks.costs.ledger --turns 40

Two groups of users in one process chat in alternating turns on the same server. One group counts and times every
delivery; the other reads it, decodes its stamp and discards it. Other work on the machine affects both alike.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Final

import gevent
from locust.stats import RequestStats

from benchmarks.command import command_parser, with_exit_code
from benchmarks.processes import BenchmarkError, running, stampede_command
from stampede.client.chat_connection import ChatConnection, ConnectionOwner
from stampede.client.context import ClientContext
from stampede.client.message_handler import MessageHandler
from stampede.client.rooms import Rooms
from stampede.dialects.stampede import StampedeConversation, StampedeDialect
from stampede.ledger import stamp
from stampede.ledger.room import Room
from stampede.locust.output.locust_stats import StatsUpdater
from stampede.measure.measures import Measures
from stampede.websocket.reactor import Reactor
from stampede.websocket.target import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stampede.websocket.errors import LostError
    from stampede.websocket.target import Target

GOAL: Final = 0.20
LOADS: Final = ((200, 100, 50_000), (2000, 20, 19_000))
"""Users, users in a room, and deliveries per second."""

_TIMEOUT: Final = 60.0
_TURN_SECONDS: Final = 1.0
_TICK: Final = 0.001
_PADDING: Final = "." * 15


@dataclass(frozen=True, slots=True)
class LedgerCost:
    """CPU of a delivery in us with and without the ledger and statistics; medians of the turns."""

    users: int
    deliveries_per_s: int
    counted_us: float
    bare_us: float

    @property
    def part(self) -> float:
        """The added CPU, as a fraction of the CPU without them."""
        return self.counted_us / self.bare_us - 1

    def __str__(self) -> str:
        """Return the cost as a sentence."""
        return (
            f"{self.deliveries_per_s:,} deliveries/s over {self.users:,} users: ledger and statistics add "
            f"{self.part:.1%} to the {self.bare_us:.1f} us of the engine (goal: below {GOAL:.0%})"
        )


class _DiscardingHandler(MessageHandler):
    """A handler that decodes the stamp of a delivery and does nothing more."""

    def message_received(self, payload: bytes, now: int) -> None:
        if stamp.from_payload(payload) is None:
            super().message_received(payload, now)


class _DiscardingConnection(ChatConnection):
    """A connection with such a handler."""

    def __init__(self, context: ClientContext, owner: ConnectionOwner) -> None:
        super().__init__(context, owner)
        self.handler = _DiscardingHandler(context, self)
        self.rooms = Rooms(self, self.handler, context)


class _UserGroup:
    """Users of one process in rooms of one size."""

    def __init__(self, kind: type[ChatConnection], target: Target, users: int, room_size: int, first_room: int) -> None:
        self.measures = Measures()
        self.table = StatsUpdater(self.measures)
        self.stats = RequestStats()
        self._faults: list[Exception] = []
        self._reactor = Reactor(Random(1), self._faults.append)
        context = ClientContext(self.measures, StampedeDialect(), first_room, _PADDING, self._faults.append)
        self._rng = Random(first_room)
        self._clients: list[ChatConnection] = []
        numbers = range(first_room, first_room - (-users // room_size))
        rooms = [Room(number, f"room-{number}", self.measures.address_pairs) for number in numbers]
        for number in range(users):
            client = kind(context, self)
            username = f"user-{first_room + number:06d}"
            client.open(self._reactor, target, StampedeConversation(username), _TIMEOUT)
            client.rooms.enter([rooms[number // room_size]], _TIMEOUT)
            self._clients.append(client)

    def chat(self, messages_per_s: float) -> float:
        """Let the users chat for one turn; return the CPU seconds of the process."""
        began, sent = time.monotonic(), 0
        cpu = time.process_time()
        while (now := time.monotonic()) < began + _TURN_SECONDS:
            while sent < (now - began) * messages_per_s:
                self._rng.choice(self._clients).sender.say(time.monotonic_ns(), _PADDING.encode(), None)
                sent += 1
            gevent.sleep(_TICK)
        self.table.update(self.stats)
        gevent.sleep(0.1)  # for the last deliveries
        return time.process_time() - cpu

    def connection_lost(self, error: LostError, in_flight: int) -> None:
        """Fail: the server dropped a user."""
        raise BenchmarkError("the server dropped a user")

    def close(self) -> None:
        self._reactor.close()
        if self._faults:
            raise BenchmarkError(f"the engine failed: {self._faults[0]}")


def cost_of_ledger(users: int, room_size: int, deliveries_per_s: int, turns: int) -> LedgerCost:
    """Measure the cost over so many turns of each group.

    Raises:
        BenchmarkError: the server did not start, or more than 1 % of the deliveries are missing.
    """
    messages_per_s = deliveries_per_s / (room_size - 1)
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        command = stampede_command("--upload-dir", folder, "--log-level", "error", "--handshake-rate", "0")
        with running(command, cores[-1]) as server:
            os.sched_setaffinity(0, {cores[0]})
            target = resolve(f"{server.url}/")
            groups = [
                _UserGroup(kind, target, users, room_size, n * 100_000)
                for n, kind in enumerate((ChatConnection, _DiscardingConnection))
            ]
            try:
                costs = list(_take_turns(groups, messages_per_s, turns))
            finally:
                for group in groups:
                    group.close()
                os.sched_setaffinity(0, cores)
    tally = groups[0].measures.deliveries
    if tally.received < 0.99 * tally.expected:
        raise BenchmarkError(f"only {tally.received} of {tally.expected} deliveries arrived")
    per_turn = deliveries_per_s * _TURN_SECONDS
    counted, bare = (median(cost[index] for cost in costs) * 1e6 / per_turn for index in (0, 1))
    return LedgerCost(users, deliveries_per_s, counted, bare)


def _take_turns(groups: list[_UserGroup], messages_per_s: float, turns: int) -> Iterator[tuple[float, float]]:
    """Yield the CPU seconds of both groups for each turn, after a warm-up turn."""
    for turn in range(-1, turns):
        order = (0, 1) if turn % 2 else (1, 0)
        costs = {index: groups[index].chat(messages_per_s) for index in order}
        if turn >= 0:
            yield costs[0], costs[1]


@with_exit_code
def main(arguments: Sequence[str] | None) -> None:
    """Print the cost at each load."""
    parser = command_parser("benchmarks.costs.ledger", __doc__)
    parser.add_argument("--turns", type=int, default=40, help="turns of one second for each group (%(default)s)")
    parser.add_argument("--users", type=int, help="number of users, in rooms of 10, five messages per second each")
    options = parser.parse_args(arguments)
    if options.turns < 1 or (options.users is not None and options.users < 2):
        raise BenchmarkError("--turns must be at least 1 and --users at least 2")
    loads = LOADS if options.users is None else ((options.users, 10, 45 * options.users),)
    for users, room_size, deliveries_per_s in loads:
        print(cost_of_ledger(users, room_size, deliveries_per_s, options.turns), flush=True)


if __name__ == "__main__":
    sys.exit(main(None))
