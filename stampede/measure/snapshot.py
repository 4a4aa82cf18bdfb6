"""What a process reports about itself, and how the reports of all processes become one answer: pure.

A report is cumulative since the test began, so a lost one costs nothing and merging is adding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from stampede.generator_faults import Fault, merged
from stampede.measure import measures
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.storm import StormPart
from stampede.websocket.addresses import AddressUse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stampede.measure.measures import Measures
    from stampede.measure.storm_results import StormResult


UNASSIGNED: Final = -1
"""Run of a report by a process that was never told the run's number."""


class Sends(msgspec.Struct):
    """Chat messages due so far, and what became of them; `held` of those sent were held back for a while."""

    intended: int = 0
    sent: int = 0
    late: int = 0
    skipped: int = 0
    held: int = 0


class Deliveries(msgspec.Struct):
    """The ledger's counts, and deliveries of which neither clock nor sequence is ours."""

    expected: int = 0
    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    foreign_clock: int = 0
    late: int = 0
    churned: int = 0


C = TypeVar("C", Sends, Deliveries)


class Requests(msgspec.Struct):
    """One kind of request: times of the good ones as a sparse histogram, failures by label."""

    times: dict[str, Any]
    failures: dict[str, int]


class Report(msgspec.Struct):
    """One process.

    Attributes:
        run: which test it belongs to.
        index: number of the process.
        final: whether nothing more will come.
        cpu_share: mean part of a core since the test began.
        rooms: how many rooms it has users in; `members`: how many users that are.
        drops: connections dropped on purpose, by cause.
        storms: the latest storms on command.
        lacking: optional answers that the server does not give.
        problems: why the process makes the run invalid; `causes`: what is behind them, and what helps.
        faults: of its machine and of the load test itself, which make it invalid, too.
        addresses: of the server, and what became of each.
        resynced_by_pong: resyncs told by a pong, in rooms where nobody else speaks.
        joined_before: users that joined before the counts began, see `since`.
    """

    run: int
    id: str
    index: int
    pid: int
    final: bool
    users: int
    connections: int
    ready: int
    rooms: int
    members: int
    cpu_seconds: float
    cpu_share: float
    rss_bytes: int
    sends: Sends
    deliveries: Deliveries
    by_sent: dict[str, Any]
    loop_lag: dict[str, Any]
    requests: dict[str, Requests]
    drops: dict[str, int]
    storms: list[StormPart]
    lacking: list[str]
    problems: list[str]
    addresses: list[AddressUse] = []
    resynced_by_pong: int = 0
    causes: list[str] = []
    faults: list[Fault] = []
    joined_before: int = 0


COUNTED: Final = (
    "sends",
    "deliveries",
    "by_sent",
    "loop_lag",
    "requests",
    "drops",
    "resynced_by_pong",
)
"""The fields of a report that add up; the others say how things are."""


def since(report: Report, earlier: Report) -> Report:
    """Return what a process has counted after an earlier report of the same test.

    What was in flight then counts with what came after, so that the ledger still adds up.
    """
    then = earlier.deliveries
    settled = msgspec.structs.replace(then, expected=then.received + then.lost)
    drops = {cause: n - earlier.drops.get(cause, 0) for cause, n in report.drops.items()}
    return msgspec.structs.replace(
        report,
        sends=_less(report.sends, earlier.sends),
        deliveries=_less(report.deliveries, settled),
        by_sent=_sparse_less(report.by_sent, earlier.by_sent),
        loop_lag=_sparse_less(report.loop_lag, earlier.loop_lag),
        requests={name: _requests_less(requests, earlier.requests[name]) for name, requests in report.requests.items()},
        drops=drops,
        resynced_by_pong=report.resynced_by_pong - earlier.resynced_by_pong,
        joined_before=LogLinearHistogram.from_sparse(earlier.requests[measures.JOIN].times).count,
    )


def _less(now: C, then: C) -> C:
    """Subtract the counts of one struct from another."""
    return type(now)(*(getattr(now, field) - getattr(then, field) for field in now.__struct_fields__))


def _sparse_less(now: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    return LogLinearHistogram.from_sparse(now).since(LogLinearHistogram.from_sparse(then)).to_sparse()


def _requests_less(now: Requests, then: Requests) -> Requests:
    failures = {label: n - then.failures.get(label, 0) for label, n in now.failures.items()}
    return Requests(_sparse_less(now.times, then.times), {label: n for label, n in failures.items() if n})


def sends_of(measures: Measures) -> Sends:
    """Return the counts of sends."""
    return Sends(measures.intended, measures.sent, measures.late, measures.skipped, measures.held)


def deliveries_of(measures: Measures) -> Deliveries:
    """Return the counts of deliveries."""
    tally = measures.deliveries
    return Deliveries(
        tally.expected,
        tally.received,
        tally.lost,
        tally.duplicated,
        tally.reordered,
        tally.foreign_clock,
        tally.late,
        tally.churned,
    )


def requests_of(measures: Measures) -> dict[str, Requests]:
    """Return all requests by name."""
    return {
        name: Requests(request.times.to_sparse(), dict(request.failures)) for name, request in measures.requests.items()
    }


class Totals:
    """All reports, added up, but for those of processes that died, which stand apart in `dead`."""

    __slots__ = ("by_sent", "dead", "deliveries", "drops", "failures", "loop_lag", "reports", "sends", "times")

    def __init__(self, reports: Iterable[Report], dead: Iterable[Report] = ()) -> None:
        self.reports = sorted(reports, key=lambda report: report.index)
        self.dead = sorted(dead, key=lambda report: report.index)
        self.drops = dict.fromkeys(measures.DROP_CAUSES, 0)
        self.sends = Sends()
        self.deliveries = Deliveries()
        self.by_sent = LogLinearHistogram()
        self.loop_lag = LogLinearHistogram()
        self.times = {name: LogLinearHistogram() for name in measures.NAMES}
        self.failures: dict[str, dict[str, int]] = {name: {} for name in measures.NAMES}
        for report in self.reports:
            self._add(report)

    def _add(self, report: Report) -> None:
        for total, part in ((self.sends, report.sends), (self.deliveries, report.deliveries)):
            for field in total.__struct_fields__:
                setattr(total, field, getattr(total, field) + getattr(part, field))
        self.by_sent.merge(LogLinearHistogram.from_sparse(report.by_sent))
        self.loop_lag.merge(LogLinearHistogram.from_sparse(report.loop_lag))
        for cause, n in report.drops.items():
            self.drops[cause] += n
        for name, requests in report.requests.items():
            self.times[name].merge(LogLinearHistogram.from_sparse(requests.times))
            for label, n in requests.failures.items():
                self.failures[name][label] = self.failures[name].get(label, 0) + n

    @property
    def by_intended(self) -> LogLinearHistogram:
        """Deliveries, from the moment they were due."""
        return self.times[measures.DELIVER]

    @property
    def send_lag(self) -> LogLinearHistogram:
        """Sends, from the moment they were due."""
        return self.times[measures.SEND]

    def failed(self, name: str) -> int:
        """Return how many requests of one kind failed; they count as requests, as in Locust's table."""
        return sum(self.failures[name].values())

    def total(self, field: str) -> int:
        """Return the sum of one number over all processes."""
        return sum(getattr(report, field) for report in self.reports)

    @property
    def addresses(self) -> list[AddressUse]:
        """The server's addresses, and what became of each in all processes."""
        merged: dict[str, AddressUse] = {}
        for report in self.reports:
            for use in report.addresses:
                total = merged.setdefault(use.address, AddressUse(use.address))
                total.connections += use.connections
                total.failures += use.failures
                total.why = use.why or total.why
        return list(merged.values())

    @property
    def faults(self) -> list[Fault]:
        """The faults of all processes, the dead ones included, each kind and detail once."""
        return merged(fault for report in (*self.reports, *self.dead) for fault in report.faults)

    @property
    def room_size(self) -> float | None:
        """Mean members of the rooms that have any."""
        rooms = self.total("rooms")
        return self.total("members") / rooms if rooms else None


def snapshot(
    totals: Totals,
    *,
    state: str,
    now: int,
    ages: dict[str, float],
    storms: Iterable[StormResult] = (),
    faults: Iterable[Fault] = (),
) -> dict[str, Any]:
    """Return the answer to `GET /stampede/snapshot`: JSON-ready, cumulative since the test began, durations in ns.

    Args:
        totals: of all processes.
        state: Locust's state of the run.
        now: monotonic nanoseconds.
        ages: seconds since the report of each process came.
        storms: of the test, as of the latest reports.
        faults: that no process has reported.
    """
    deliveries = totals.deliveries
    return {
        "version": 1,
        "state": state,
        "monotonic_ns": now,
        "users": totals.total("users"),
        "connections": totals.total("connections"),
        "ready": totals.total("ready"),
        "sends": msgspec.to_builtins(totals.sends),
        "deliveries": {
            field: getattr(deliveries, field)
            for field in ("expected", "received", "lost", "duplicated", "reordered", "foreign_clock")
        },
        "latency": {"intended": totals.by_intended.to_sparse(), "sent": totals.by_sent.to_sparse()},
        "requests": {
            f"{measures.METHOD} {name}": {
                "count": times.count + totals.failed(name),
                "failures": totals.failed(name),
            }
            for name, times in totals.times.items()
        },
        "resync": totals.times[measures.RESYNC].to_sparse(),
        "send_lag": totals.send_lag.to_sparse(),
        "room_size": totals.room_size,
        "workers": [_worker(report, ages.get(report.id, 0.0)) for report in totals.reports],
        "dead_workers": [_worker(report, ages.get(report.id, 0.0)) for report in totals.dead],
        "drops": totals.drops,
        "storms": [storm.to_builtins() for storm in storms],
        "addresses": msgspec.to_builtins(totals.addresses),
        "faults": msgspec.to_builtins(merged([*totals.faults, *faults])),
    }


def _worker(report: Report, age: float) -> dict[str, Any]:
    return {
        "id": report.id,
        "pid": report.pid,
        "index": report.index,
        "users": report.users,
        "cpu_seconds": report.cpu_seconds,
        "loop_lag": report.loop_lag,
        "send_lag": report.requests[measures.SEND].times,
        "rss_bytes": report.rss_bytes,
        "age_s": age,
        "problems": [*report.problems, *(fault.text for fault in report.faults)],
    }
