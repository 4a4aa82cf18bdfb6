"""The figures of a run: one type, which a process fills, the master merges and a window subtracts; pure.

Everything but the gauges is cumulative since the test began. A lost report therefore loses no counts, reports are
merged by addition, and a window is the difference of two moments. Durations are in nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import reduce
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stampede.ledger.counts import DeliveryCounts, OrderCounts
from stampede.measure.drop_causes import DROP_CAUSES
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.request_names import DELIVER, JOIN, NAMES, RESYNC, SEND, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


@dataclass(slots=True)
class SendCounts:
    """Chat messages that were due, by outcome.

    Attributes:
        intended: messages due so far; each was `sent` or `skipped`.
        sent: messages sent; of these, `late` ones left more than 100 ms after they were due.
        skipped: messages that were not sent.
        held: sent messages that had to wait for the connection.
    """

    intended: int = 0
    sent: int = 0
    late: int = 0
    skipped: int = 0
    held: int = 0


@dataclass(slots=True)
class RequestCounts:
    """One row of Locust's table.

    Attributes:
        count: requests, failed ones included.
        failures: failed requests.
        reasons: failed requests by label.
        times: durations of successful requests; empty in the rows of `LEDGER_NAMES`, whose durations are figures.
    """

    count: int = 0
    failures: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    times: LogLinearHistogram = field(default_factory=LogLinearHistogram)

    @property
    def successes(self) -> int:
        """Requests that did not fail."""
        return self.count - self.failures


@dataclass(slots=True)
class Latency:
    """Delivery latency from the intended and from the actual send."""

    intended: LogLinearHistogram = field(default_factory=LogLinearHistogram)
    sent: LogLinearHistogram = field(default_factory=LogLinearHistogram)


@dataclass(slots=True, kw_only=True)
class Figures:
    """The figures of a process, of a whole run or of a window.

    Attributes:
        users: running users; `connections` of them are open, `ready` ones are in their room.
        timed_users: users whose deliveries are timed; those of the others are counted only.
        other_users: those of the users that join no room, since their class has another client.
        rooms: rooms with at least one member, and `members` is the number of members of all rooms.
        sends: chat messages.
        deliveries: the ledger; `address_pairs` are its counts by the address of the sender and that of the receiver.
        order: whether members of a room received messages in the same order, sampled.
        latency: delivery latency.
        send_lag: from the moment a message was due until the generator was ready to send it.
        loop_lag: lateness of a regular timer in the generator.
        resync: from a dropped connection to the first delivery after it.
        requests: rows of Locust's table by method and name, such as `WS connect`.
        drops: connections dropped on purpose, by cause.
        resynced_by_pong: resyncs detected by a pong, in rooms where no other user sends.
        unconfirmed_joins: joins that count as successful without a confirmation of the server.
        cut_off: requests that waited for the server when the load test dropped their connection or stopped their user.
    """

    users: int
    connections: int
    ready: int
    rooms: int
    sends: SendCounts
    deliveries: DeliveryCounts
    latency: Latency
    send_lag: LogLinearHistogram
    loop_lag: LogLinearHistogram
    resync: LogLinearHistogram
    requests: dict[str, RequestCounts]
    drops: dict[str, int]
    resynced_by_pong: int
    unconfirmed_joins: int
    cut_off: int = 0
    members: int = 0
    timed_users: int = 0
    other_users: int = 0
    order: OrderCounts = field(default_factory=OrderCounts)
    address_pairs: dict[str, dict[str, DeliveryCounts]] = field(default_factory=dict)

    def since(self, earlier: Figures) -> Figures:
        """Return what was counted after `earlier`; the gauges keep their present values.

        Deliveries that a departure took back may make `expected` smaller than before; the window then expects none.

        Raises:
            ValueError: a count of a histogram went down.
        """
        window = Figures(
            **{
                name: value if name in GAUGES else _subtract(value, getattr(earlier, name))
                for name, value in figures_in(self).items()
            }
        )
        for counts in (window.deliveries, *window.pair_counts()):
            counts.expected = max(0, counts.expected)
        return window

    def pair_counts(self) -> Iterator[DeliveryCounts]:
        """Return the counts of all pairs of addresses."""
        return chain.from_iterable(receivers.values() for receivers in self.address_pairs.values())

    def without_in_flight(self) -> Figures:
        """Return the figures as if nothing were in flight.

        Deliveries in flight then count with the later ones, so that the ledger of a later `since` adds up.
        """
        pairs = {
            sender: {receiver: counts.without_in_flight() for receiver, counts in receivers.items()}
            for sender, receivers in self.address_pairs.items()
        }
        return replace(self, deliveries=self.deliveries.without_in_flight(), address_pairs=pairs)

    def request(self, name: str) -> RequestCounts:
        """Return the row of a request, without Locust's request type in its name."""
        return self.requests[row_of(name)]

    def find_request(self, name: str) -> RequestCounts | None:
        """Return the row of a request by its name; for a request of another client, by its method and name."""
        return self.requests.get(row_of(name)) or self.requests.get(name)

    def times_of(self, name: str) -> LogLinearHistogram | None:
        """Return the durations of the successful requests with a name, as `find_request` finds them."""
        if name in (DELIVER, SEND, RESYNC):
            return {DELIVER: self.latency.intended, SEND: self.send_lag, RESYNC: self.resync}[name]
        found = self.find_request(name)
        return found.times if found is not None else None

    @property
    def chat_users(self) -> int:
        """Running users that should be in a room."""
        return self.users - self.other_users

    @property
    def joins(self) -> int:
        """Joins that succeeded, as far as the server confirms joins."""
        return self.request(JOIN).successes + self.unconfirmed_joins

    @property
    def mean_room_size(self) -> float | None:
        """Mean number of members of the rooms that have any."""
        return self.members / self.rooms if self.rooms else None

    @property
    def failures(self) -> int:
        """Failed requests of all names but deliveries, which have a ledger of their own."""
        return sum(counts.failures for _, counts in self._operations())

    @property
    def operations(self) -> int:
        """Requests of all names but deliveries."""
        return sum(counts.count for _, counts in self._operations())

    def _operations(self) -> list[tuple[str, RequestCounts]]:
        return [(name, counts) for name, counts in self.requests.items() if name != row_of(DELIVER)]


FIELDS: Final = tuple(field.name for field in fields(Figures))

GAUGES: Final = frozenset({"users", "connections", "ready", "rooms", "members", "timed_users", "other_users"})
"""Fields that describe the present moment. All others count, and are subtracted."""


def no_figures() -> Figures:
    """Return the figures of a run that has not counted anything; all requests and drop causes are zero."""
    return Figures(
        users=0,
        connections=0,
        ready=0,
        rooms=0,
        sends=SendCounts(),
        deliveries=DeliveryCounts(),
        latency=Latency(),
        send_lag=LogLinearHistogram(),
        loop_lag=LogLinearHistogram(),
        resync=LogLinearHistogram(),
        requests={row_of(name): RequestCounts() for name in NAMES},
        drops=dict.fromkeys(DROP_CAUSES, 0),
        resynced_by_pong=0,
        unconfirmed_joins=0,
    )


def figures_in(figures: Figures) -> dict[str, Any]:
    """Return the fields of `Figures` by name, without those that a subclass adds."""
    return {name: getattr(figures, name) for name in FIELDS}


def merge_figures(parts: Iterable[Figures]) -> Figures:
    """Add up the figures of several processes."""
    return reduce(lambda one, other: Figures(**_add(figures_in(one), figures_in(other))), parts, no_figures())


def merge_counts(one: RequestCounts, other: RequestCounts) -> RequestCounts:
    """Add up two rows."""
    return _add(one, other)


def _add(one: T, other: T) -> T:
    """Add two values of one field; dictionaries and dataclasses are added part by part."""
    if isinstance(one, dict) and isinstance(other, dict):
        return type(one)((one | other) | {key: _add(one[key], other[key]) for key in one if key in other})
    if is_dataclass(one) and not isinstance(one, type):
        return type(one)(
            **{part.name: _add(getattr(one, part.name), getattr(other, part.name)) for part in fields(one)}
        )
    return one + other  # type: ignore[operator,no-any-return] # numbers and histograms


def _subtract(now: T, then: T) -> T:
    """Subtract two values of one field, as `_add` adds them. A part that is new counts in full."""
    if isinstance(now, dict) and isinstance(then, dict):
        return type(now)({key: _subtract(value, then[key]) if key in then else value for key, value in now.items()})
    if is_dataclass(now) and not isinstance(now, type):
        return type(now)(
            **{part.name: _subtract(getattr(now, part.name), getattr(then, part.name)) for part in fields(now)}
        )
    return now - then  # type: ignore[operator,no-any-return] # numbers and histograms
