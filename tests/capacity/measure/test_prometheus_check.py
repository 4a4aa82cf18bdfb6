"""A Prometheus is checked before a run starts."""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from capacity.cli.main import main
from capacity.config.slo import RunSlo, parse_slo
from capacity.errors import UsageError
from capacity.measure.prometheus import Prometheus
from capacity.measure.prometheus_check import check_prometheus, skew_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.metrics.fixtures import StartPrometheus
    from tests.processes import RunningServer


@pytest.fixture
def scraping() -> Iterator[Callable[[float, float], str]]:
    """Start the HTTP API of a Prometheus with a scrape interval and a clock difference."""
    running: list[tuple[http.server.ThreadingHTTPServer, threading.Thread]] = []

    def start(interval_s: float, ahead_s: float = 0.0) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["query"][0]
                now = time.time() + ahead_s
                if query == "time()":
                    data: dict[str, object] = {"resultType": "scalar", "result": [now, str(now)]}
                else:
                    values = [[now - 1 - i * interval_s, "5"] for i in range(int(300 // interval_s), -1, -1)]
                    series = {"metric": {"__name__": "chat_connections"}, "values": values}
                    data = {"resultType": "matrix", "result": [series]}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"status": "success", "data": data}).encode())

            def log_message(self, *_: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_window_shorter_than_two_scrapes_is_refused_before_the_start(
    scraping: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = scraping(15.0)
    assert main(["--report", str(tmp_path), "--prometheus", url, "--bounded", "5"]) == 2
    assert capsys.readouterr().err == (
        "capacity: Prometheus scrapes the server every 15 s, too seldom for a window of 6 s: use --window 30, or "
        "scrape at least every 3 s (scrape_interval)\n"
    )


@pytest.mark.parametrize(
    ("interval_s", "window_s", "usable"), [(15, 30, True), (15, 29, True), (15, 20, False), (1, 2, True)]
)
def test_a_window_holds_two_scrapes(
    scraping: Callable[..., str], interval_s: float, window_s: float, usable: bool
) -> None:
    prometheus = Prometheus(scraping(interval_s))
    if usable:
        assert check_prometheus(prometheus, (), window_s, is_source=True) == pytest.approx(interval_s, rel=0.2)
    else:
        with pytest.raises(UsageError, match="--window 30"):
            check_prometheus(prometheus, (), window_s, is_source=True)


def test_metrics_pages_need_no_scrapes_but_expressions_over_a_window_do(scraping: Callable[..., str]) -> None:
    prometheus = Prometheus(scraping(15.0))
    momentary = RunSlo("users<5", "users", 5, promql="sum(chat_connections)")
    check_prometheus(prometheus, (momentary, parse_slo("loss<1%")), 6, is_source=False)
    over = RunSlo("rate<5", "rate", 5, promql="sum(rate(chat_connections[$window]))")
    with pytest.raises(UsageError, match="--window 30"):
        check_prometheus(prometheus, (over,), 6, is_source=False)
    own = RunSlo("rate<5", "rate", 5, promql="sum(rate(chat_connections[$window]))", window=10)
    with pytest.raises(UsageError, match=r"window = 30 in its \[\[level\]\]"):
        check_prometheus(prometheus, (own,), 60, is_source=False)


@pytest.mark.parametrize(("ahead_s", "words"), [(900.0, r"\d{3} s ahead of"), (-900.0, r"\d{3} s behind")])
def test_a_clock_difference_is_noted(scraping: Callable[..., str], ahead_s: float, words: str) -> None:
    prometheus = Prometheus(scraping(1.0, ahead_s))
    check_prometheus(prometheus, (), 6, is_source=True)
    assert prometheus.now - time.time() == pytest.approx(ahead_s, abs=60)
    assert re.search(f"clock is {words} this machine's", skew_note(prometheus) or "")
    prometheus.skew_s = 1.9
    assert skew_note(prometheus) is None


def test_a_real_prometheus_has_a_clock_and_an_interval(
    start: Callable[..., RunningServer], start_prometheus: StartPrometheus
) -> None:
    real = start_prometheus(chat=start().http.removeprefix("http://"))
    real.wait_for_scrape()
    real.wait_for_scrape()
    prometheus = Prometheus(real.url)
    interval_s = check_prometheus(prometheus, (), 60, is_source=True)
    assert interval_s is not None
    assert 0.5 < interval_s < 30
    assert skew_note(prometheus) is None or abs(prometheus.skew_s) < 30
