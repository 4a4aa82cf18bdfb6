"""The load generator's Prometheus metrics, served by the master or the only process.

The collectors read the state when Prometheus scrapes it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from gevent.pywsgi import WSGIServer
from locust import runners
from locust.runners import MasterRunner
from prometheus_client.registry import Collector

from stampede.measure.address_pairs import address_pairs
from stampede.measure.request_names import MAX_OWN_NAMES, METHOD, NAMES, OTHER
from stampede.measure.storm_results import SHARES
from stampede.metrics.catalog import CATALOG
from stampede.metrics.exposition import Exposition
from stampede.metrics.families import Families
from stampede.metrics.histogram_buckets import LATENCY_BOUNDS
from stampede.verdict.summary import RunResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from locust.runners import LocalRunner
    from locust.stats import RequestStats, StatsEntry
    from prometheus_client.core import Metric as Family

    from stampede.locust.agents.master import MasterAgent
    from stampede.measure.figures import Figures
    from stampede.measure.report import Totals
    from stampede.measure.storm_results import StormResult

WORKER_STATES: Final = (
    runners.STATE_INIT,
    runners.STATE_SPAWNING,
    runners.STATE_RUNNING,
    runners.STATE_STOPPING,
    runners.STATE_STOPPED,
    runners.STATE_MISSING,
)
_RUNNING: Final = (runners.STATE_SPAWNING, runners.STATE_RUNNING)
_families: Final = Families(CATALOG)


class _LatencyBuckets:
    """Locust's response times of some rows in the buckets of the catalog."""

    def __init__(self, entries: Iterable[StatsEntry]) -> None:
        self.counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self.total = 0.0
        for entry in entries:
            self.total += entry.total_response_time / 1000
            for ms, n in entry.response_times.items():
                self.counts[bisect_left(LATENCY_BOUNDS, ms / 1000)] += n


def _bounded_rows(stats: RequestStats) -> dict[tuple[str, str], list[StatsEntry]]:
    """Return the rows of Locust's table by method and name; those beyond `MAX_OWN_NAMES` together, as `other`.

    Locust keeps its rows in the order of their first request, so a row is either always or never in `other`.
    """
    rows = {(METHOD, name): [stats.get(name, METHOD)] for name in NAMES}
    other: list[StatsEntry] = []
    for entry in list(stats.entries.values()):
        key = (str(entry.method), str(entry.name))
        if key in rows:
            continue
        if key == (METHOD, OTHER) or len(rows) >= len(NAMES) + MAX_OWN_NAMES:
            other.append(entry)
        else:
            rows[key] = [entry]
    return rows | ({(METHOD, OTHER): other} if other else {})


class LocustCollector(Collector):
    """Locust's own statistics: the metrics always agree with its table."""

    def __init__(self, runner: LocalRunner | MasterRunner) -> None:
        self._runner = runner

    def collect(self) -> Iterator[Family]:
        """Read Locust's state."""
        runner = self._runner
        yield _families.scalar("locust_test_running", int(runner.state in _RUNNING))
        yield _families.scalar("locust_users", runner.user_count)
        yield _families.scalar("locust_users_target", runner.target_user_count if runner.state in _RUNNING else 0)
        workers = [client.state for client in runner.clients.all] if isinstance(runner, MasterRunner) else []
        yield _families.labelled("locust_workers", {state: workers.count(state) for state in WORKER_STATES})
        rows = _bounded_rows(runner.stats)
        yield _families.labelled("locust_requests_total", _sums(rows, "num_requests"))
        yield _families.labelled("locust_request_failures_total", _sums(rows, "num_failures"))
        yield _families.histogram(
            "locust_request_duration_seconds", {key: _LatencyBuckets(entries) for key, entries in rows.items()}
        )


def _sums(rows: dict[tuple[str, str], list[StatsEntry]], count: str) -> dict[tuple[str, str], int]:
    return {key: sum(getattr(entry, count) for entry in entries) for key, entries in rows.items()}


class LoadTestCollector(Collector):
    """The ledger and the histograms of all processes."""

    def __init__(self, master: MasterAgent) -> None:
        self._master = master
        self._counted_for = (0, 0)
        self._expected = 0

    def collect(self) -> Iterator[Family]:
        """Read the latest reports."""
        totals = self._master.totals()
        everything = self._master.everything() if totals.dead else totals
        counting = (self._master.run, self._master.resets)
        if self._counted_for != counting:
            self._counted_for = counting
            self._expected = 0
        figures = everything.figures  # counters include workers that died, gauges do not
        deliveries = figures.deliveries
        dialect = self._master.dialect
        yield _families.labelled("loadtest_dialect_info", {} if dialect is None else {dialect.name: 1})
        yield _families.scalar("loadtest_connections", totals.figures.connections)
        yield _families.scalar("loadtest_joins_unconfirmed_total", figures.unconfirmed_joins)
        yield _families.scalar("loadtest_messages_due_total", figures.sends.intended)
        yield _families.scalar("loadtest_messages_sent_total", figures.sends.sent)
        yield _families.scalar("loadtest_messages_skipped_total", figures.sends.skipped)
        # Deliveries in flight to a user that leaves are no longer expected, but a counter must not decrease.
        self._expected = max(self._expected, deliveries.expected)
        yield _families.scalar("loadtest_deliveries_expected_total", self._expected)
        yield _families.scalar("loadtest_deliveries_total", deliveries.received)
        yield _families.scalar("loadtest_deliveries_lost_total", deliveries.lost)
        yield _families.scalar("loadtest_deliveries_duplicated_total", deliveries.duplicated)
        yield _families.scalar("loadtest_deliveries_reordered_total", deliveries.reordered)
        pairs = address_pairs(figures.address_pairs)
        received = {(pair.sender, pair.receiver): pair.received for pair in pairs}
        yield _families.labelled("loadtest_address_deliveries_total", received)
        lost = {(pair.sender, pair.receiver): pair.lost for pair in pairs}
        yield _families.labelled("loadtest_address_deliveries_lost_total", lost)
        yield _families.scalar("loadtest_order_members_total", figures.order.members)
        yield _families.scalar("loadtest_order_divergent_total", figures.order.divergent)
        yield from _durations(figures)
        yield _families.labelled("loadtest_drops_total", figures.drops)
        yield from _last_storm(self._master.storms())
        result = RunResult(totals, faults=self._master.user_faults(), has_chat_users=self._master.has_chat_users)
        yield _families.scalar("loadtest_invalid", int(bool(result.problems)))
        yield _families.scalar("loadtest_thresholds_failed", self._master.failed_thresholds)
        yield from _workers(totals, self._master.ages())


def _durations(figures: Figures) -> Iterator[Family]:
    yield _families.loglinear_histogram(
        "loadtest_delivery_duration_seconds", {"intended": figures.latency.intended, "sent": figures.latency.sent}
    )
    yield _families.loglinear_histogram("loadtest_send_lag_seconds", {(): figures.send_lag})
    yield _families.loglinear_histogram("loadtest_loop_lag_seconds", {(): figures.loop_lag})
    yield _families.loglinear_histogram("loadtest_resync_duration_seconds", {(): figures.resync})


def _last_storm(storms: list[StormResult]) -> Iterator[Family]:
    yield _families.scalar("loadtest_storms_total", len(storms))
    last = storms[-1] if storms else None
    yield _families.scalar("loadtest_storm_dropped", last.dropped if last else 0)
    yield _families.scalar("loadtest_storm_resynced", last.resynced if last else 0)
    shares = {f"{share:g}": _seconds(last.until(share) if last else None) for share in SHARES}
    yield _families.labelled("loadtest_storm_resync_seconds", shares)
    yield _families.scalar("loadtest_storm_peak_accepts", last.peak_accepts_per_second if last else 0)
    yield _families.scalar(
        "loadtest_storm_unaffected_seconds", _seconds(last.unaffected.quantile(0.99) if last else None)
    )
    yield _families.scalar("loadtest_storm_missed_messages", last.missed if last else 0)


def _seconds(ns: float | None) -> float:
    return math.nan if ns is None else ns / 1e9


def _workers(totals: Totals, ages: dict[str, float]) -> Iterator[Family]:
    reports = totals.reports
    yield _families.labelled("loadtest_worker_users", {report.index: report.figures.users for report in reports})
    yield _families.labelled(
        "loadtest_worker_cpu_seconds_total", {report.index: report.cpu_seconds for report in reports}
    )
    yield _families.labelled(
        "loadtest_worker_resident_memory_bytes", {report.index: report.rss_bytes for report in reports}
    )
    yield _families.labelled(
        "loadtest_worker_report_age_seconds", {report.index: ages.get(report.id, 0.0) for report in reports}
    )
    lags = {report.index: report.figures.loop_lag for report in reports}
    yield _families.loglinear_histogram("loadtest_worker_loop_lag_seconds", lags)
    lags = {report.index: report.figures.send_lag for report in reports}
    yield _families.loglinear_histogram("loadtest_worker_send_lag_seconds", lags)


def serve(runner: LocalRunner | MasterRunner, master: MasterAgent, address: tuple[str, int]) -> WSGIServer:
    """Serve the metrics at `/metrics` on an address; port 0 means any free port. Return the started server.

    Raises:
        OSError: the address cannot be bound.
    """
    exposition = Exposition([LocustCollector(runner), LoadTestCollector(master)])

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"The metrics are at /metrics\n"]
        page = exposition.render(environ.get("HTTP_ACCEPT", ""), environ.get("HTTP_ACCEPT_ENCODING", ""))
        start_response("200 OK", [("Content-Type", page.content_type), *page.headers.items()])
        return [page.body]

    server = WSGIServer(address, application, log=None)
    server.start()
    return server
