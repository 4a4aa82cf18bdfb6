"""The counts and durations of one process since the test began.

The hot path updates these fields directly. Locust's table, the snapshot and the exporter read them, so they agree.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stampede.ledger.address_pairs import AddressPairs
from stampede.ledger.counts import OrderCounts
from stampede.measure.drop_causes import DROP_CAUSES
from stampede.measure.figures import Figures, Latency, RequestCounts, SendCounts, merge_counts
from stampede.measure.log_linear_histogram import BUCKETS, LogLinearHistogram, bucket_bounds
from stampede.measure.request_names import (
    DELIVER,
    LEDGER_NAMES,
    MAX_OWN_NAMES,
    NAMES,
    OTHER,
    RESYNC,
    SEND,
    row_of,
    rows_named,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stampede.ledger.counts import DeliveryCounts

LATE_NS: Final = 100_000_000
"""A message sent later than this after it was due counts as late."""

_HISTOGRAM_END: Final = bucket_bounds(BUCKETS - 1)[1]


class Request:
    """One kind of request: the durations of those that succeeded, and the failures by label.

    Attributes:
        untimed: requests that succeeded, without a duration.
    """

    __slots__ = ("failures", "times", "untimed")

    def __init__(self) -> None:
        self.times = LogLinearHistogram()
        self.untimed = 0
        self.failures: dict[str, int] = {}

    def done(self, ns: int | None) -> None:
        """Count a request that succeeded after `ns` nanoseconds; None counts it without a duration."""
        if ns is None:
            self.untimed += 1
        else:
            self.times.record(ns)

    def failed(self, label: str, n: int = 1) -> None:
        """Count `n` failed requests. Use few and fixed labels: each is a row of Locust's table of failures."""
        self.failures[label] = self.failures.get(label, 0) + n

    def counts(self) -> RequestCounts:
        """Return a copy of the counts."""
        failures = sum(self.failures.values())
        count = self.times.count + self.untimed + failures
        return RequestCounts(count, failures, dict(self.failures), self.times.copy())


class Measures:
    """Everything that one process measures.

    Args:
        kept_names: names of requests that are kept also beyond the limit of names, in the form of `find_request`.

    Attributes:
        sends: chat messages that were due.
        address_pairs: the counts of the ledger.
        order: whether members of a room received messages in the same order, sampled.
        latency: delivery latency from the intended and from the actual send.
        send_lag: from the moment a message was due until the generator was ready to send it: the generator's own delay.
        loop_lag: lateness of a regular timer.
        waiting: messages that are due and queued now, because the connection is congested or lost.
        requests: requests of the load test by name; Locust's table is updated from them.
        others: requests of other clients in the scenario, by method and name; Locust counts them in its table itself.
        drops: connections dropped on purpose, by cause.
        resynced_by_pong: resyncs detected by a pong, in rooms where no other user sends.
        unconfirmed_joins: joins that count as successful without a confirmation of the server.
        cut_off: requests that waited for the server when the load test dropped their connection or stopped their user.
        optional: optional answers, and whether the server sends them; unknown until one was waited for.
    """

    __slots__ = (
        "_final_rows",
        "_kept_rows",
        "address_pairs",
        "cut_off",
        "drops",
        "latency",
        "loop_lag",
        "optional",
        "order",
        "others",
        "requests",
        "resynced_by_pong",
        "send_lag",
        "sends",
        "unconfirmed_joins",
        "waiting",
    )

    def __init__(self, kept_names: Iterable[str] = ()) -> None:
        self._kept_rows = rows_named(kept_names)
        self.sends = SendCounts()
        self.address_pairs = AddressPairs()
        self.order = OrderCounts()
        self.latency = Latency()
        self.send_lag = LogLinearHistogram()
        self.loop_lag = LogLinearHistogram()
        self.waiting = 0
        self.drops = dict.fromkeys(DROP_CAUSES, 0)
        self.resynced_by_pong = self.unconfirmed_joins = self.cut_off = 0
        self.optional: dict[str, bool] = {}
        self.requests = {name: Request() for name in NAMES}
        self.others: dict[str, Request] = {}
        self._final_rows: dict[str, RequestCounts] | None = None
        # Deliveries and sends are timed once; their rows of the table are views of these histograms.
        self.requests[DELIVER].times = self.latency.intended
        self.requests[SEND].times = self.send_lag

    def figures(
        self,
        *,
        users: int = 0,
        other_users: int = 0,
        connections: int = 0,
        ready: int = 0,
        rooms: int = 0,
        members: int = 0,
        timed_users: int = 0,
    ) -> Figures:
        """Return a copy of what has been counted so far, with these gauges."""
        self.update_delivery_row()
        return Figures(
            users=users,
            other_users=other_users,
            connections=connections,
            ready=ready,
            rooms=rooms,
            members=members,
            timed_users=timed_users,
            sends=replace(self.sends),
            deliveries=self.deliveries,
            address_pairs=self.address_pairs.copy(),
            order=replace(self.order),
            latency=Latency(self.latency.intended.copy(), self.latency.sent.copy()),
            send_lag=self.send_lag.copy(),
            loop_lag=self.loop_lag.copy(),
            resync=self.requests[RESYNC].times.copy(),
            requests=self._all_rows(),
            drops=dict(self.drops),
            resynced_by_pong=self.resynced_by_pong,
            unconfirmed_joins=self.unconfirmed_joins,
            cut_off=self.cut_off,
        )

    @property
    def deliveries(self) -> DeliveryCounts:
        """The counts of the ledger at this moment, added up."""
        return self.address_pairs.total()

    def finish(self) -> None:
        """Fix the rows of the load test. Those of other clients still grow: their users run a little longer."""
        self._final_rows = self._rows()

    def _rows(self) -> dict[str, RequestCounts]:
        """Return a copy of the rows of the load test."""
        rows = {row_of(name): request.counts() for name, request in self.requests.items()}
        for name in LEDGER_NAMES:
            rows[row_of(name)].times = LogLinearHistogram()  # these durations are figures already
        return rows

    def _all_rows(self) -> dict[str, RequestCounts]:
        """Return a copy of the rows of Locust's table."""
        rows = dict(self._final_rows or self._rows())
        for row, request in self.others.items():
            counts = request.counts()
            rows[row] = merge_counts(rows[row], counts) if row in rows else counts
        return rows

    def request(self, name: str) -> Request:
        """Return the request of a name. Beyond `MAX_OWN_NAMES` names of scenarios, new ones count as `other`.

        Raises:
            ValueError: the name is of a figure that the ledger and the storms fill.
        """
        found = self.requests.get(name)
        if found is None:
            name = name if self._keeps(row_of(name)) else OTHER
            found = self.requests.setdefault(name, Request())
        elif name in LEDGER_NAMES:
            raise ValueError(f"{name!r} is the name of a figure of the ledger: give the request another name")
        return found

    def request_of_other_client(self, method: str, name: str) -> Request:
        """Return the request that another client counts under Locust's method and name; the limit is the same."""
        row = f"{method} {name}"
        found = self.others.get(row)
        if found is None:
            row = row if self._keeps(row) else row_of(OTHER)
            found = self.others.setdefault(row, Request())
        return found

    def _keeps(self, new_row: str) -> bool:
        return new_row in self._kept_rows or len(self.requests) + len(self.others) < len(NAMES) + MAX_OWN_NAMES

    def delivered(self, by_intended: int, by_sent: int) -> None:
        """Record the latency of one delivery, from the intended and from the actual send, in nanoseconds."""
        if 64 <= by_sent <= by_intended < _HISTOGRAM_END:
            # `bucket_of` inlined: two calls would cost a fifth of a delivery outside the kernel.
            latency = self.latency
            histogram = latency.intended
            shift = by_intended.bit_length() - 6
            histogram.counts[(shift << 5) + (by_intended >> shift)] += 1
            histogram.total += by_intended
            histogram = latency.sent
            shift = by_sent.bit_length() - 6
            histogram.counts[(shift << 5) + (by_sent >> shift)] += 1
            histogram.total += by_sent
        else:
            self.latency.intended.record(by_intended)
            self.latency.sent.record(by_sent)

    def sent_after(self, lag: int) -> None:
        """Count a chat message that was sent `lag` nanoseconds after it was due."""
        self.sends.intended += 1
        self.sends.sent += 1
        if lag > LATE_NS:
            self.sends.late += 1
        self.send_lag.record(lag)

    def sent_held(self, lag: int, late_by: int) -> None:
        """Count a message that was queued first: ready after `lag` nanoseconds, and sent after `late_by`."""
        self.sends.intended += 1
        self.sends.sent += 1
        self.sends.held += 1
        self.waiting -= 1
        if late_by > LATE_NS:
            self.sends.late += 1
        self.send_lag.record(lag)

    def skip(self, why: str | None, n: int = 1) -> None:
        """Count `n` chat messages that were not sent. `why` labels the failure; None means that this was intended."""
        self.sends.intended += n
        self.sends.skipped += n
        if why is not None and n:
            self.requests[SEND].failed(why, n)

    def skip_held(self, why: str | None, n: int) -> None:
        """Count `n` queued messages that are skipped."""
        self.waiting -= n
        self.skip(why, n)

    def update_delivery_row(self) -> None:
        """Enter the losses of the ledger as failed deliveries, and those without a latency as untimed ones."""
        row, deliveries = self.requests[DELIVER], self.deliveries
        row.untimed = deliveries.received - row.times.count
        if deliveries.lost:
            row.failures["lost"] = deliveries.lost

    def has(self, answer: str) -> bool:
        """Return whether the server is known to send an optional answer."""
        return self.optional.get(answer, False)

    def lacks(self, answer: str) -> bool:
        """Return whether the server is known not to send an optional answer."""
        return not self.optional.get(answer, True)
