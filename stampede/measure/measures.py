"""What one process has counted and timed since the test began: plain numbers and log-linear histograms.

Everything is cumulative. The hot path adds to these fields itself; Locust's table, the snapshot and the exporter are
fed from them, so that all of them always agree.
"""

from __future__ import annotations

from typing import Final

from stampede.ledger.counts import DeliveryCounts
from stampede.measure.log_linear_histogram import BUCKETS, LogLinearHistogram, bucket_bounds

CONNECT: Final = "connect"
JOIN: Final = "join"
SEND: Final = "send"
DELIVER: Final = "deliver"
PING: Final = "ping"
TYPING: Final = "typing"
UPLOAD: Final = "upload"
RESYNC: Final = "resync"

METHOD: Final = "WS"
"""Locust's request type of all of them."""

NAMES: Final = (CONNECT, JOIN, SEND, DELIVER, PING, TYPING, UPLOAD, RESYNC)
"""Locust's request names; few and fixed."""

STORM_USER: Final = "storm_user"
STORM: Final = "storm"
CHURN: Final = "churn"

DROP_CAUSES: Final = (STORM_USER, STORM, CHURN)
"""Why a connection is dropped on purpose: its user is one of a storm, a storm on command, background churn."""

LATE: Final = 100_000_000
"""Nanoseconds after which a send counts as late."""


_BEYOND: Final = bucket_bounds(BUCKETS - 1)[1]


class Request:
    """One kind of request: how long the good ones took, and why the others failed."""

    __slots__ = ("failures", "times")

    def __init__(self) -> None:
        self.times = LogLinearHistogram()
        self.failures: dict[str, int] = {}

    def done(self, ns: int) -> None:
        """Count one that worked and took `ns` nanoseconds."""
        self.times.record(ns)

    def failed(self, label: str, n: int = 1) -> None:
        """Count `n` that failed; labels are few and fixed words."""
        self.failures[label] = self.failures.get(label, 0) + n


class Measures:
    """All that one process measures.

    Attributes:
        deliveries: the counts of the ledger.
        by_intended: deliveries, from the moment they were due. `by_sent`: from the moment they were sent.
        send_lag: sends, from the moment they were due until the generator was ready to send them: its own lateness.
        loop_lag: lateness of a regular timer.
        intended: chat messages due so far; each is `sent` (of those, some `late`, some `held` back) or `skipped`.
        waiting: further ones that are held back now, by a congested connection or a lost one.
        requests: by name.
        drops: connections dropped on purpose, by cause.
        resynced_by_pong: resyncs told by a pong, in rooms where nobody else speaks.
        optional: answers that a server may not have: whether this one does; unknown until one was waited for.
    """

    __slots__ = (
        "by_intended",
        "by_sent",
        "deliveries",
        "drops",
        "held",
        "intended",
        "late",
        "loop_lag",
        "optional",
        "requests",
        "resynced_by_pong",
        "send_lag",
        "sent",
        "skipped",
        "waiting",
    )

    def __init__(self) -> None:
        self.deliveries = DeliveryCounts()
        self.by_intended = LogLinearHistogram()
        self.by_sent = LogLinearHistogram()
        self.send_lag = LogLinearHistogram()
        self.loop_lag = LogLinearHistogram()
        self.intended = self.sent = self.late = self.skipped = self.held = self.waiting = 0
        self.drops = dict.fromkeys(DROP_CAUSES, 0)
        self.resynced_by_pong = 0
        self.optional: dict[str, bool] = {}
        self.requests = {name: Request() for name in NAMES}
        # Deliveries and sends are timed once; their rows of the table are views of these histograms.
        self.requests[DELIVER].times = self.by_intended
        self.requests[SEND].times = self.send_lag

    def delivered(self, by_intended: int, by_sent: int) -> None:
        """Time one delivery that was owed, in nanoseconds on both clocks."""
        if 64 <= by_sent <= by_intended < _BEYOND:
            # `bucket_of`, written out: two calls are a fifth of what a delivery costs outside the kernel.
            histogram = self.by_intended
            shift = by_intended.bit_length() - 6
            histogram.counts[(shift << 5) + (by_intended >> shift)] += 1
            histogram.total += by_intended
            histogram = self.by_sent
            shift = by_sent.bit_length() - 6
            histogram.counts[(shift << 5) + (by_sent >> shift)] += 1
            histogram.total += by_sent
        else:
            self.by_intended.record(by_intended)
            self.by_sent.record(by_sent)

    def sent_after(self, lag: int) -> None:
        """Count one chat message that was sent `lag` nanoseconds after it was due."""
        self.intended += 1
        self.sent += 1
        if lag > LATE:
            self.late += 1
        self.send_lag.record(lag)

    def sent_held(self, lag: int, late_by: int) -> None:
        """Count one that the generator had ready after `lag` nanoseconds, and that could be sent after `late_by`."""
        self.intended += 1
        self.sent += 1
        self.held += 1
        self.waiting -= 1
        if late_by > LATE:
            self.late += 1
        self.send_lag.record(lag)

    def skip(self, why: str | None, n: int = 1) -> None:
        """Count chat messages that were due and could not be sent; None where that was on purpose, and no failure."""
        self.intended += n
        self.skipped += n
        if why is not None and n:
            self.requests[SEND].failed(why, n)

    def skip_held(self, why: str | None, n: int) -> None:
        """Count messages that were held back and have been given up."""
        self.waiting -= n
        self.skip(why, n)

    def count_losses(self) -> None:
        """Enter the ledger's losses as failed deliveries."""
        if self.deliveries.lost:
            self.requests[DELIVER].failures["lost"] = self.deliveries.lost

    def has(self, answer: str) -> bool:
        """Return whether the server is known to give an optional answer."""
        return self.optional.get(answer, False)

    def lacks(self, answer: str) -> bool:
        """Return whether the server is known not to give an optional answer."""
        return not self.optional.get(answer, True)
