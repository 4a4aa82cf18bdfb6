"""The metrics of server and load generator agree in one Prometheus."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from metrics.catalog import SERVER
from stampede.metrics.catalog import GENERATOR
from tests.metrics.fixtures import wait_until
from tests.ports import free_ports
from tests.stampede.check.acme import AcmeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.metrics.fixtures import StartPrometheus
    from tests.processes import RunningServer

USERS = 6
DIALECT = "tests.stampede.check.acme:OnlyAcknowledgedDialect"
BOTH_SIDES = 'chat_messages_delivered_total{type="chatMessage"} - on() loadtest_deliveries_total'


class Generator:
    """A Locust process with its web port and its metrics."""

    def __init__(self, web: str, metrics: str, process: subprocess.Popen[str] | None = None) -> None:
        self.web = web
        self.metrics = metrics
        self.process = process

    def tell(self, path: str, **form: object) -> None:
        data = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"{self.web}{path}", data, timeout=60) as answer:  # noqa: S310 - loopback
            answer.read()

    def page(self) -> bytes:
        with urllib.request.urlopen(self.metrics, timeout=60) as answer:  # noqa: S310 - loopback
            assert answer.headers["Vary"] == "Accept, Accept-Encoding"
            return bytes(answer.read())

    def ready(self) -> bool:
        try:
            self.page()
            with urllib.request.urlopen(self.web, timeout=60):  # noqa: S310 - loopback
                return True
        except (urllib.error.URLError, ConnectionError):
            return False


@contextmanager
def generator(host: str, *flags: str) -> Iterator[Generator]:
    """Run chatting users in two rooms, one per worker; Locust must end without an error."""
    web, metrics, master = free_ports(3)
    command = [
        *(sys.executable, "-m", "locust", "-f", "loadtest", "ChattingUser", "--host", host, "--loglevel", "WARNING"),
        *("--web-host", "127.0.0.1", "--web-port", str(web), "--prometheus-port", str(metrics)),
        *("--master-bind-port", str(master), "--master-port", str(master)),
        *("--rooms", "2", "--message-rate", "5", *flags),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            running = Generator(f"http://127.0.0.1:{web}", f"http://127.0.0.1:{metrics}/metrics", process)
            wait_until(lambda: process.poll() is not None or running.ready(), "Locust to answer")
            assert process.poll() is None, "Locust ended"
            yield running
        finally:
            process.terminate()
            log, _ = process.communicate(timeout=60)
            print(log)
    assert "Traceback" not in log


@pytest.mark.parametrize("flags", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_both_sides_of_a_run_agree_in_one_prometheus(
    server: RunningServer, start_prometheus: StartPrometheus, flags: tuple[str, ...]
) -> None:
    with generator(server.url, *flags) as locust:
        prometheus = start_prometheus(server=server.url, generator=locust.metrics)
        locust.tell("/swarm", user_count=USERS, spawn_rate=USERS)
        together = f"chat_connections == {USERS} and on() loadtest_connections == {USERS}"
        wait_until(lambda: bool(prometheus.query(together)), "both sides to see every connection")
        wait_until(lambda: bool(prometheus.query(f"loadtest_deliveries_total > {10 * USERS}")), "deliveries")
        prometheus.expect({"locust_test_running": 1, "locust_users": USERS, "locust_users_target": USERS})
        locust.tell("/stop")
        at_rest = "(locust_test_running + on() loadtest_connections + on() chat_connections) == 0"
        wait_until(lambda: bool(prometheus.query(at_rest)), "the test to end")
        prometheus.expect(
            {
                BOTH_SIDES: 0,
                "loadtest_deliveries_expected_total - loadtest_deliveries_total": 0,
                "loadtest_deliveries_lost_total": 0,
                "loadtest_deliveries_duplicated_total": 0,
                "loadtest_deliveries_reordered_total": 0,
                'loadtest_delivery_duration_seconds_count{clock="sent"} - on() loadtest_deliveries_total': 0,
                "sum(locust_request_failures_total)": 0,
                "locust_users": 0,
                f"loadtest_deliveries_total > bool {10 * USERS}": 1,
            }
        )


def test_the_dialect_its_acknowledgements_and_its_unconfirmed_joins_are_exported(
    start_prometheus: StartPrometheus,
) -> None:
    with AcmeServer(acknowledges=True).running() as url, generator(url, "--dialect", DIALECT) as locust:
        prometheus = start_prometheus(generator=locust.metrics)
        assert prometheus.query("loadtest_dialect_info") == {}
        locust.tell("/swarm", user_count=USERS, spawn_rate=USERS)
        acknowledged = 'locust_requests_total{method="WS", name="ack"}'
        wait_until(lambda: bool(prometheus.query(f"{acknowledged} > {USERS}")), "acknowledgements")
        prometheus.expect(
            {
                'loadtest_dialect_info{dialect="acme"}': 1,
                "count(loadtest_dialect_info)": 1,
                "loadtest_joins_unconfirmed_total": USERS,
                'locust_request_failures_total{method="WS", name="ack"}': 0,
                f'locust_request_duration_seconds_count{{method="WS", name="ack"}} > bool {USERS}': 1,
            }
        )


def test_the_generator_exports_exactly_the_catalog_from_the_start(server: RunningServer, promtool: str) -> None:
    with generator(server.url) as locust:
        page = locust.page()
    names = set(re.findall(r"^# TYPE (\S+) ", page.decode(), re.MULTILINE))  # workers have series only in a test
    own = {name for name in names if not name.startswith(("process_", "python_"))}
    assert own == {metric.name for metric in GENERATOR}
    assert not own & {metric.name for metric in SERVER}
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
