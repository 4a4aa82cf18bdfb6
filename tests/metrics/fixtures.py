"""Fixtures that start a real Prometheus; loaded by tests/conftest.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import psutil
import pytest

from tests.metrics.pages import sample_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

TIMEOUT_SECONDS = 90
POLL_SECONDS = 0.05
MISSING = (
    "prometheus or promtool not found: install Prometheus (Debian: apt-get install --no-install-recommends prometheus)"
)


class Prometheus:
    """A running Prometheus, queried through its HTTP API.

    Attributes:
        url: its base URL.
        jobs: names of the scraped jobs, each with one target.
    """

    def __init__(self, url: str, jobs: tuple[str, ...]) -> None:
        self.url = url
        self.jobs = jobs

    def query(self, expr: str, at: float | None = None) -> dict[str, float]:
        """Return an instant query's values, keyed as `name{label="value"}`; a scalar's key is empty."""
        moment = {} if at is None else {"time": f"{at:.3f}"}
        data = self._get("/api/v1/query", query=expr, **moment)
        if data["resultType"] == "scalar":
            return {"": float(data["result"][1])}
        return {_key(entry["metric"]): float(entry["value"][1]) for entry in data["result"]}

    def value(self, expr: str) -> float:
        """Return the value of a query that gives exactly one series."""
        (value,) = self.query(expr).values()
        return value

    def wait_for_scrape(self) -> float:
        """Wait until every target was scraped successfully, by a scrape that began after this call.

        Returns: The time of the last of them, when the samples of every target were stored.
        """
        fresh = f"timestamp(up) > {time.time()} and up == 1"
        scraped: list[float] = []

        def all_scraped() -> bool:
            scraped[:] = self.query(fresh).values()
            return len(scraped) == len(self.jobs)

        wait_until(all_scraped, "every target to be scraped")
        return max(scraped)

    def expect(self, samples: Mapping[str, float]) -> None:
        """Compare the exact value of each expression after the next scrape; the counters must no longer change."""
        moment = self.wait_for_scrape()  # a later scrape may fail, and the latest value may then be missing
        found = {expr: self.query(expr, moment) for expr in samples}
        assert {expr: list(values.values()) for expr, values in found.items()} == {
            expr: [float(value)] for expr, value in samples.items()
        }

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - loopback
            data = json.load(answer)["data"]
        assert isinstance(data, dict)
        return data


class StartPrometheus(Protocol):
    """Start a Prometheus that scrapes each job's target every second.

    That takes about 7 s: its discovery passes targets on every 5 s, which no flag changes (2.42).
    """

    def __call__(self, **targets: str) -> Prometheus:
        """Return it when every target is up; a target is a ws:// or http:// URL, or `host:port`."""


@pytest.fixture
def start_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPrometheus]:
    """Start real Prometheus processes that end with the test: `start_prometheus(server=url, generator=url)`."""
    if shutil.which("prometheus") is None:
        skip_or_fail(MISSING)
    with ExitStack() as running:

        def start(**targets: str) -> Prometheus:
            return running.enter_context(_prometheus(tmp_path_factory.mktemp("prometheus"), targets))

        yield start


@pytest.fixture
def promtool() -> str:
    """Return the path of promtool; skip the test without it."""
    path = shutil.which("promtool")
    if path is None:
        skip_or_fail(MISSING)
    return path


def skip_or_fail(problem: str) -> NoReturn:
    """Skip a test that lacks a tool, or fail it if `CI` is set."""
    if os.environ.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll until a condition of another process holds; the timeout allows for a busy machine."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {TIMEOUT_SECONDS} s for {what}"
        time.sleep(POLL_SECONDS)


@contextmanager
def _prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "900ms"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [_address(target)]}]} for job, target in targets.items()
        ],
    }
    config_file = folder / "prometheus.yml"
    config_file.write_text(json.dumps(config))  # JSON is YAML
    with configured(config_file, folder / "data") as url:
        prometheus = Prometheus(url, tuple(targets))
        prometheus.wait_for_scrape()
        yield prometheus


@contextmanager
def configured(config_file: Path, data: Path, *flags: str, port: int = 0) -> Iterator[str]:
    """Run a Prometheus with a configuration, and yield its URL once it is ready."""
    command = [
        "prometheus",
        f"--config.file={config_file}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        *flags,
    ]
    with subprocess.Popen(command) as process:
        try:
            url = f"http://127.0.0.1:{_listening_port(process)}"
            wait_until(lambda: _answers(f"{url}/-/ready"), "Prometheus to be ready")
            yield url
        finally:
            process.terminate()


def _address(target: str) -> str:
    return urllib.parse.urlsplit(target).netloc if "//" in target else target


def _listening_port(process: subprocess.Popen[bytes]) -> int:
    """Find the port in the process's sockets, because Prometheus 2.42 does not print it."""
    ports: list[int] = []

    def listens() -> bool:
        assert process.poll() is None, "Prometheus ended before it listened"
        ports.extend(
            connection.laddr.port
            for connection in psutil.Process(process.pid).net_connections("tcp4")
            if connection.status == psutil.CONN_LISTEN
        )
        return bool(ports)

    wait_until(listens, "Prometheus to listen")
    return ports[0]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False


def _key(metric: Mapping[str, str]) -> str:
    labels = dict(metric)
    return sample_key(labels.pop("__name__", ""), labels)
