"""Reports of processes, for tests of merging and judging."""

from __future__ import annotations

from stampede.ledger.counts import OrderCounts
from stampede.measure.measures import Measures
from stampede.measure.report import WorkerReport
from stampede.measure.request_names import CONNECT, JOIN


def measured(index: int) -> Measures:
    """Return the measures of a process with a few of everything."""
    measures = Measures()
    counts = measures.address_pairs.between("", "")
    counts.expected = 10 + index
    counts.received = 8
    counts.lost = 2 + index
    measures.order = OrderCounts(samples=1, members=10, messages=6, divergent=2 + index)
    for ns in range(8):
        measures.delivered(1_000_000 * (ns + index), 1_000)
    measures.sent_after(5)
    measures.skip("skipped: too late")
    measures.drops["storm"] = 1
    measures.requests[CONNECT].done(7)
    measures.requests[JOIN].done(7)
    measures.requests[CONNECT].failed("connection refused", 3)
    return measures


def report(index: int, *, problems: list[str] | None = None) -> WorkerReport:
    """Return the last report of a process."""
    return WorkerReport(
        run=1,
        id=f"w{index}",
        index=index,
        pid=100 + index,
        final=True,
        cpu_seconds=1.5,
        cpu_share=0.25,
        rss_bytes=1000,
        figures=measured(index).figures(users=4, connections=3, ready=2 + index, members=2 + index, rooms=1),
        lacking=["fileReady"],
        problems=problems or [],
    )
