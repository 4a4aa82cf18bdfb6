"""Requests that scenarios name, and those of other clients, are in every output that has the built-in ones."""

from __future__ import annotations

import csv
import json
import re
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stampede.measure.request_names import MAX_OWN_NAMES, NAMES
from tests.metrics.pages import series
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.processes import RunningServer
    from tests.stampede.fixtures import FinishedRun, Locust, WebLocust

    Rows = dict[str, tuple[int, int]]

PROCESSES = pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])

SCENARIO = """
import contextlib, os
from locust import FastHttpUser, HttpUser, constant, events, task
from stampede import ChatUser

HTTP = os.environ["CHAT_HTTP"]
runs = []
events.test_start.add_listener(lambda **_: runs.append(None))

class Agent(ChatUser):
    wait_time = constant(0.05)

    @task(4)
    def look_around(self):
        self.client.request({"type": "ping", "timestamp": 1}, reply="pong", name="look around", timeout=60)

    @task(2)
    def search(self):
        with self.client.measure(f"search {len(runs)}"):
            pass

    @task
    def fail(self):
        with contextlib.suppress(KeyError), self.client.measure("broken search"):
            raise KeyError("nothing found")

class Browser(HttpUser):
    wait_time = constant(0.05)

    @task
    def see_health(self):
        self.client.get(HTTP + "/health", name="/health")

class MixedIn(FastHttpUser, ChatUser):
    wait_time = constant(0.05)

    @task
    def see_nothing(self):
        self.client.get(HTTP + "/nothing", name="/nothing")

    @task
    def look_around(self):
        self.chat.request({"type": "ping", "timestamp": 1}, reply="pong", name="look around", timeout=60)
"""

# More names than the load test keeps, and fewer than the 500 rows that Locust's page shows.
MANY_NAMES = """
import os
from itertools import count
from locust import User, constant, task
from stampede import ChatUser

numbers, paths = count(), count()

class Agent(ChatUser):
    wait_time = constant(0.01)

    @task
    def search(self):
        for _ in range(5):
            number = next(numbers)
            with self.client.measure("late name" if number == 500 else f"page {number} of {os.getpid()}"):
                pass

class Other(User):
    wait_time = constant(0.01)

    @task
    def search(self):
        name = f"/{next(paths) % 120}/{os.getpid()}"
        self.environment.events.request.fire(
            request_type="GET", name=name, response_time=1.5, response_length=0, exception=None
        )
"""

SERVED = {
    "ping": ('chat_messages_received_total{type="ping"}', 300),
    "/health": ('chat_http_requests_total{code="200",path="/health"}', 5),
    "/nothing": ('chat_http_requests_total{code="404",path="other"}', 5),
}


@dataclass(frozen=True)
class Scenario:
    """The locustfile `SCENARIO` and the server that it loads."""

    file: Path
    server: RunningServer
    before: dict[str, float]

    @property
    def headless(self) -> tuple[str, ...]:
        return ("-f", str(self.file), "--headless", "-u", "12", "-r", "12")

    def is_served(self, requests: Iterable[str] = tuple(SERVED)) -> bool:
        """Return whether the server has answered so many of these requests that all of their kinds have occurred."""
        now = self.server.samples()
        return all(now[name] - self.before[name] >= number for name, number in (SERVED[one] for one in requests))


@pytest.fixture
def scenario(tmp_path: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    """Write the locustfile."""
    monkeypatch.setenv("CHAT_HTTP", server.http)
    monkeypatch.setenv("LOCUST_HOST", server.url)
    file = tmp_path / "own_scenario.py"
    file.write_text(SCENARIO)
    return Scenario(file, server, server.samples())


def keyed(rows: Any, method: str = "method", name: str = "name", counts: tuple[str, str] = ("", "")) -> Rows:
    """Return the rows of a table by method and name, those without requests left out."""
    requests, failures = counts
    found = {f"{row[method]} {row[name]}": (int(row[requests]), int(row[failures])) for row in rows if row[method]}
    return {row: numbers for row, numbers in found.items() if numbers[0]}


def of_csv(prefix: Path) -> Rows:
    with Path(f"{prefix}_stats.csv").open() as file:
        return keyed(csv.DictReader(file), "Type", "Name", ("Request Count", "Failure Count"))


def of_html(path: Path) -> Rows:
    found = re.search(r"window\.templateArgs = (\{.*?\})\s*;?\s*(?:window|</script>)", path.read_text(), re.DOTALL)
    assert found is not None
    return keyed(json.loads(found[1])["requests_statistics"], counts=("num_requests", "num_failures"))


def of_page(web: WebLocust) -> Rows:
    return keyed(json.loads(web.get("/stats/requests"))["stats"], counts=("num_requests", "num_failures"))


def of_snapshot(snapshot: Any) -> Rows:
    return {row: (one["count"], one["failures"]) for row, one in snapshot["requests"].items() if one["count"]}


def of_metrics(page: dict[str, float]) -> Rows:
    counts: Rows = {}
    for series_name, value in page.items():
        if (found := re.fullmatch(r'locust_requests_total\{method="(.*?)",name="(.*?)"\}', series_name)) and value:
            failures = page[series_name.replace("locust_requests_total", "locust_request_failures_total")]
            counts[f"{found[1]} {found[2]}"] = (int(value), int(failures))
    return counts


def own(rows: Rows) -> Rows:
    """Return the rows that are not built in, by their names in the summary."""
    built_in = {f"WS {name}" for name in NAMES}
    return {row.removeprefix("WS "): numbers for row, numbers in rows.items() if row not in built_in}


def has_requests(names: set[str], now: Any) -> bool:
    return names <= set(own(of_snapshot(now)))


def of_table(ended: FinishedRun) -> Rows:
    return {f"{method} {name}": row for method in ("WS", "GET") for name, row in ended.requests(method).items()}


@PROCESSES
def test_every_output_of_a_run_has_the_same_requests(
    locust: Callable[..., Locust], scenario: Scenario, tmp_path: Path, processes: list[str]
) -> None:
    prefix, report = tmp_path / "run", tmp_path / "report.html"
    flags = ("--csv", str(prefix), "--html", str(report), *processes)
    ended = locust(*scenario.headless, *flags).stop_once(scenario.is_served)
    assert ended.ended_with(1), ended.out + ended.log  # some requests fail, and there is no threshold
    table = of_table(ended)
    assert of_csv(prefix) == of_html(report) == table
    summary = ended.own_requests()
    assert summary == own(table)
    assert set(summary) == {"look around", "search 1", "broken search", "GET /health", "GET /nothing"}
    for name, (count, failures) in summary.items():
        assert failures == (count if name in {"broken search", "GET /nothing"} else 0), name
    with Path(f"{prefix}_failures.csv").open() as file:
        errors = {(row["Method"], row["Name"]): row["Error"] for row in csv.DictReader(file)}
    assert errors["WS", "broken search"] == "KeyError"
    assert ("GET", "/nothing") in errors


def until_equal(read: Callable[[], list[Rows]], seconds: float) -> Rows:
    """Wait until several tables are equal, and return them. Some may be seconds old."""
    deadline = time.monotonic() + seconds
    while True:
        first, *others = read()
        if all(other == first for other in others):
            return first
        assert time.monotonic() < deadline, (first, *others)
        time.sleep(0.2)


@PROCESSES
def test_page_snapshot_and_metrics_agree_and_a_second_run_has_only_its_own_names(
    web_locust: Callable[..., WebLocust], scenario: Scenario, processes: list[str]
) -> None:
    port = free_port()
    web = web_locust(
        "-f", str(scenario.file), "--prometheus-port", str(port), *processes,
    )  # fmt: skip
    for run in (1, 2):
        web.post("/swarm", user_count=12, spawn_rate=12)
        expected = {"look around", f"search {run}", "broken search", "GET /health", "GET /nothing"}
        web.until(partial(has_requests, expected))
        web.post("/stop")
        web.until(lambda now: now["connections"] == now["users"] == 0)
        tables = until_equal(
            lambda: [of_snapshot(web.snapshot()), of_page(web), of_metrics(series(web.metrics(port)))],
            web.locust.timeout,
        )
        assert set(own(tables)) == expected
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.own_requests() == own(tables)


@PROCESSES
def test_a_reset_of_the_statistics_also_resets_own_requests(
    web_locust: Callable[..., WebLocust], scenario: Scenario, processes: list[str]
) -> None:
    web = web_locust("-f", str(scenario.file), *processes)
    web.post("/swarm", user_count=12, spawn_rate=12)
    web.until(lambda now: of_snapshot(now).get("WS look around", (0, 0))[0] > 100)
    web.post("/stats/reset")
    after = web.snapshot()
    assert of_snapshot(after).get("WS look around", (0, 0))[0] < 100
    web.until(lambda now: {"WS look around", "GET /nothing"} <= set(of_snapshot(now)))
    web.post("/stop")
    web.until(lambda now: now["connections"] == now["users"] == 0)
    until_equal(lambda: [own(of_snapshot(web.snapshot())), own(of_page(web))], web.locust.timeout)


MET = {"look around:p99<100s": "met: worst ", "GET /health:errors<=0%": "met: worst 0 %"}
FAILED = {
    "look around:max<1us": "FAILED in ",
    "broken search:errors<1%": "FAILED in .* worst 100 %",
    "GET /nothing:errors<1%": "FAILED in .* worst 100 %",
}
UNMEASURED = {
    "look abound:p99<1s": "unmeasured: no request of this name; did you mean 'look around'?",
    "broken search:p99<1s": "unmeasured: no request succeeded",
}


@PROCESSES
@pytest.mark.parametrize(
    ("thresholds", "code"), [(MET, 0), (MET | UNMEASURED, 98), (MET | UNMEASURED | FAILED, 99)], ids=["0", "98", "99"]
)
def test_thresholds_on_own_names_decide_the_exit_code(
    locust: Callable[..., Locust], scenario: Scenario, processes: list[str], thresholds: dict[str, str], code: int
) -> None:
    flags = [flag for threshold in thresholds for flag in ("--threshold", threshold)]
    ended = locust(*scenario.headless, *flags, *processes).stop_once(scenario.is_served)
    assert ended.ended_with(code), ended.out
    for threshold, result in thresholds.items():
        assert re.search(f"{threshold} +{result}", ended.out), ended.out


def test_thresholds_on_names_with_spaces_may_come_from_the_environment(
    locust: Callable[..., Locust], scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUST_THRESHOLD", "look around:max < 1 us  GET /health:errors<=0%, errors<=100%")
    ended = locust(*scenario.headless).stop_once(scenario.is_served)
    assert ended.ended_with(99), ended.out
    lines = [re.split(" {2,}", line) for line in ended.out.partition("  thresholds  ")[2].splitlines()[:3]]
    assert [line[0 if line[0] else 1].split(" met")[0].split(" FAILED")[0] for line in lines] == [
        "look around:max<1us",
        "GET /health:errors<=0%",
        "errors<=100%",
    ]


def test_thresholds_on_names_with_spaces_may_come_from_the_start_form(
    web_locust: Callable[..., WebLocust], scenario: Scenario
) -> None:
    web = web_locust("-f", str(scenario.file))
    refused = json.loads(web.post("/swarm", user_count=12, spawn_rate=12, threshold="look around<1s"))
    assert refused["success"] is False
    assert "unknown figure 'look around'" in refused["message"]
    web.post("/swarm", user_count=12, spawn_rate=12, threshold="look around:max<1us errors<=100%")
    web.until(lambda now: "WS look around" in of_snapshot(now))
    web.post("/stop")
    web.until(lambda now: now["connections"] == now["users"] == 0)
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.ended_with(99), ended.out
    assert re.search(r"look around:max<1us +FAILED", ended.out)
    assert re.search(r"errors<=100% +met", ended.out)


@PROCESSES
def test_a_run_with_users_of_another_client_only_is_valid(
    locust: Callable[..., Locust], scenario: Scenario, processes: list[str]
) -> None:
    flags = ("--threshold", "GET /health:errors<1%", *processes, "Browser")
    ended = locust(*scenario.headless, *flags).stop_once(partial(scenario.is_served, ["/health"]))
    assert ended.ended_with(0), ended.out
    assert set(ended.own_requests()) == {"GET /health"}


def late(now: Any) -> bool:
    """Return whether the name that a threshold keeps beyond the limit has occurred."""
    return "WS late name" in now["requests"]


@PROCESSES
def test_the_number_of_names_is_bounded_and_no_request_is_lost(
    web_locust: Callable[..., WebLocust], server: RunningServer, tmp_path: Path, processes: list[str]
) -> None:
    file, port = tmp_path / "many_names.py", free_port()
    file.write_text(MANY_NAMES)
    flags = ("--prometheus-port", str(port), "--threshold", "late name:max<100s")
    web = web_locust("-f", str(file), "--host", server.url, *flags, *processes)
    web.post("/swarm", user_count=10, spawn_rate=10)
    web.until(lambda now: now["requests"].get("WS other", {"count": 0})["count"] > 1000 and late(now))
    web.post("/stop")
    web.until(lambda now: now["connections"] == now["users"] == 0)

    def totals() -> list[int]:
        tables = (of_snapshot(web.snapshot()), of_page(web), of_metrics(series(web.metrics(port))))
        return [sum(count for count, _ in own(table).values()) for table in tables]

    deadline = time.monotonic() + web.locust.timeout
    while len(set(totals())) > 1:
        assert time.monotonic() < deadline, totals()
        time.sleep(0.2)
    assert set(own(of_snapshot(web.snapshot()))) > {"late name", "other"}
    assert len(own(of_snapshot(web.snapshot()))) <= MAX_OWN_NAMES + 2
    names = re.findall(r"^locust_requests_total\{", web.metrics(port).decode(), re.MULTILINE)
    assert len(names) == len(NAMES) + MAX_OWN_NAMES + 1
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert re.search("late name:max<100s +met", ended.out)
    other = ended.own_requests()["other"][0]
    assert f"{other} requests had names beyond the first {MAX_OWN_NAMES}: counted as `other`" in ended.out
