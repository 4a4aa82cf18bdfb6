"""Sources with a real server and a real Prometheus, and their failures with simulated ones."""

from __future__ import annotations

import http.server
import threading
import time
from typing import TYPE_CHECKING

import pytest

from capacity.errors import UsageError
from capacity.measure.prometheus import Prometheus, PrometheusError
from capacity.measure.series import Series
from capacity.measure.server_sample import ServerSample
from capacity.measure.sources import MetricsPages, PrometheusSource, SourceError, merge_samples
from capacity.model.traffic import busiest_traffic
from capacity.processes.process import free_port
from capacity.processes.target import TargetServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.metrics.fixtures import StartPrometheus
    from tests.processes import RunningServer


def test_processes_are_summed_and_the_lowest_limit_counts() -> None:
    one = ServerSample(at_s=1, cpu_seconds=2, started_at=5, connections=10, fds_limit=100, lag_buckets={0.1: 1, 1.0: 2})
    two = ServerSample(at_s=3, cpu_seconds=4, started_at=6, connections=20, fds_limit=50, lag_buckets={0.1: 0, 1.0: 2})
    total = merge_samples([one, two])
    assert (total.processes, total.cpu_seconds, total.connections, total.fds_limit) == (2, 6, 30, 50)
    assert total.started_at == 11
    assert total.lag_buckets == {0.1: 1, 1.0: 4}


def test_a_figure_missing_from_one_process_is_missing() -> None:
    assert merge_samples([ServerSample(at_s=1, dropped=3), ServerSample(at_s=1)]).dropped is None
    assert merge_samples([ServerSample(at_s=1, lag_buckets={1.0: 3}), ServerSample(at_s=1)]).lag_buckets is None


def test_the_pages_of_two_processes_are_one_sample(start: Callable[..., RunningServer]) -> None:
    urls = [f"{start().http}/metrics" for _ in range(2)]
    sample = MetricsPages(urls).read()
    assert sample.processes == 2
    assert sample.connections == 0
    assert sample.cpu_seconds is not None
    with pytest.raises(SourceError, match="no metrics at"):
        MetricsPages([*urls, f"http://127.0.0.1:{free_port()}/metrics"]).read()


@pytest.fixture
def page() -> Iterator[tuple[str, list[bytes]]]:
    """A page with content that a test sets: its URL and content; empty content is an error 503."""
    content = [b"chat_connections 5\nchat_messages_delivered_total 7\n"]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if content[0] else 503)
            self.end_headers()
            self.wfile.write(content[0])

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/metrics", content
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_source_that_stops_after_a_sample_is_a_problem(page: tuple[str, list[bytes]]) -> None:
    url, content = page
    target = TargetServer("ws://127.0.0.1:1", source=MetricsPages([url]))
    assert target.probe()[0] == "the server's metrics have no event loop lag, drops and kills"
    assert target.sample().problem is None
    content[0] = b""
    assert "answered 503" in (target.sample().problem or "")


def test_a_series_that_only_the_dialect_names_and_nobody_exports_is_missing(page: tuple[str, list[bytes]]) -> None:
    names = Series({"connections": "chat_connections", "sent_bytes": "bytes_out", "open_fds": "files"})
    gaps = TargetServer("ws://127.0.0.1:1", source=MetricsPages([page[0]], series=names)).probe()
    assert "the server's metrics have no bytes_out and files, as the dialect calls them" in gaps


def test_the_number_of_processes_stays_while_metrics_are_missing(page: tuple[str, list[bytes]]) -> None:
    url, content = page
    target = TargetServer("ws://127.0.0.1:1", source=MetricsPages([url, url]))
    target.probe()
    assert target.sample().processes == 2
    content[0] = b""
    silent = target.sample()
    assert (silent.processes, silent.problem is not None) == (2, True)


def test_a_source_that_never_worked_is_missing_and_not_a_problem(page: tuple[str, list[bytes]]) -> None:
    url, content = page
    content[0] = b""
    target = TargetServer("ws://127.0.0.1:1", source=MetricsPages([url]))
    assert "answered 503" in target.probe()[0]
    assert target.sample().problem is None


@pytest.fixture
def scraped(start: Callable[..., RunningServer], start_prometheus: StartPrometheus) -> Prometheus:
    """A real Prometheus that has scraped a real server."""
    prometheus = start_prometheus(chat=start().http.removeprefix("http://"))
    prometheus.wait_for_scrape()
    return Prometheus(f"{prometheus.url}/")


def test_a_prometheus_returns_values_samples_and_errors(scraped: Prometheus) -> None:
    assert scraped.value("last_over_time(chat_connections[1m])") == 0
    assert scraped.value("chat_connections > 5") is None  # no value
    assert scraped.value("chat_messages_received_total") is None  # several values
    assert scraped.value("0 / 0") is None
    assert scraped.value("2 + 3") == 5
    sample = PrometheusSource(scraped).read()
    assert sample.connections == 0
    assert sample.cpu_seconds is not None
    assert sample.lag_buckets is not None
    scraped.check(["chat_connections"])
    with pytest.raises(PrometheusError, match=r"refuses 'sum\(': .*parse error"):
        scraped.check(["sum("])
    with pytest.raises(UsageError, match="has no chat message"):
        busiest_traffic(scraped, days=1, hours=3)


def test_a_missing_prometheus_is_reported() -> None:
    missing = Prometheus(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(PrometheusError, match="no Prometheus at"):
        missing.value("up")
    with pytest.raises(SourceError, match="no Prometheus at"):
        PrometheusSource(missing).read()


class FakePrometheus:
    """A Prometheus with the given samples."""

    def __init__(self, *samples: tuple[dict[str, str], float, float], skew_s: float = 0.0) -> None:
        self.given = list(samples)
        self.asked: list[str] = []
        self.skew_s = skew_s

    @property
    def now(self) -> float:
        return time.time() + self.skew_s

    def samples(self, selector: str, seconds: int) -> list[tuple[dict[str, str], float, float]]:
        self.asked.append(selector)
        return self.given


def series(name: str, instance: str) -> dict[str, str]:
    return {"__name__": name, "job": "chat", "instance": instance}


def test_only_chat_processes_count_and_old_samples_are_stale() -> None:
    now = time.time()
    told = FakePrometheus(
        (series("chat_connections", "a"), now, 3),
        (series("chat_connections", "b"), now, 4),
        (series("process_cpu_seconds_total", "a"), now, 1),
        (series("process_cpu_seconds_total", "b"), now, 2),
        (series("process_cpu_seconds_total", "prometheus"), now, 99),
    )
    sample = PrometheusSource(told).read()  # type: ignore[arg-type] # it has the used methods
    assert (sample.processes, sample.connections, sample.cpu_seconds) == (2, 7, 3)
    stale = FakePrometheus((series("chat_connections", "a"), now - 40, 3))
    with pytest.raises(SourceError, match=r"is 4\d s old"):
        PrometheusSource(stale).read()  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="no sample of a chat server"):
        PrometheusSource(FakePrometheus()).read()  # type: ignore[arg-type]


def test_a_prometheus_is_asked_for_the_series_that_a_dialect_names() -> None:
    now = time.time()
    told = FakePrometheus(
        (series("emqx_connections", "a"), now, 3),
        (series("process_open_fds", "a"), now, 30),
        (series("vm_cpu_seconds_total", "b"), now, 7),
        (series("process_open_fds", "other"), now, 99),
    )
    names = Series({"connections": "emqx_connections", "cpu_seconds": "vm_cpu_seconds_total"})
    sample = PrometheusSource(told, series=names).read()  # type: ignore[arg-type]
    assert (sample.processes, sample.fds, sample.cpu_seconds) == (2, 30, None)
    (asked,) = told.asked
    assert "|emqx_connections|" in asked
    assert "|vm_cpu_seconds_total" in asked
    assert "process_cpu_seconds_total" not in asked


def test_the_age_of_samples_uses_prometheus_clock() -> None:
    now = time.time()
    for skew_s in (-600.0, 600.0):
        fresh = FakePrometheus((series("chat_connections", "a"), now + skew_s - 5, 3), skew_s=skew_s)
        assert PrometheusSource(fresh).read().connections == 3  # type: ignore[arg-type]
        old = FakePrometheus((series("chat_connections", "a"), now + skew_s - 40, 3), skew_s=skew_s)
        with pytest.raises(SourceError, match=r"is 4\d s old"):
            PrometheusSource(old).read()  # type: ignore[arg-type]


def test_a_sample_may_be_as_old_as_the_scrape_interval() -> None:
    told = FakePrometheus((series("chat_connections", "a"), time.time() - 55, 3))
    assert PrometheusSource(told, interval_s=60.0).read().connections == 3  # type: ignore[arg-type]
