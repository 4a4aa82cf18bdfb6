"""The ledger stays exact through storms, dead workers, exceptions of user code and server drains."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.metrics.fixtures import wait_until
from tests.metrics.pages import series
from tests.ports import free_port
from tests.stampede.fixtures import TIMEOUT, storm_is_over

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust, WebLocust

CHAT = 'chat_messages_{}_total{{type="chatMessage"}}'
OPENED = "chat_connections_opened_total"

FAILING_USER = """
from locust import constant, task
from stampede import ChatUser

class FailingUser(ChatUser):
    fixed_count = 1
    wait_time = constant(60)

    @task
    def fail(self):
        raise ZeroDivisionError("raised on purpose")
"""


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_a_storm_is_reported_as_the_server_counts_it(
    web_locust: Callable[..., WebLocust], server: RunningServer, processes: list[str]
) -> None:
    port = free_port()
    flags = ("--room-size", "10", "--message-rate", "5", "--prometheus-port", str(port))
    web = web_locust("--host", server.url, *flags, "ChattingUser", *processes)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        web.post("/stampede/storm", share=0.5)  # no test is running
    web.post("/swarm", user_count=80, spawn_rate=80)
    web.until(lambda now: now["ready"] == 80 and now["deliveries"]["received"] > 500)
    opened = server.samples()[OPENED]
    web.post("/stampede/storm", share=0.5)
    now = web.until(partial(storm_is_over, 80))
    (storm,) = now["storms"]
    assert (storm["dropped"], storm["resynced"], storm["gone"], storm["users"]) == (40, 40, 0, 80)
    assert server.samples()[OPENED] - opened == now["drops"]["storm"] == 40
    assert 0 < storm["resync_ns"]["0.5"] <= storm["resync_ns"]["0.95"] <= storm["resync_ns"]["1"]
    assert 1 <= storm["peak_accepts_per_second"] <= 40
    assert sum(storm["unaffected"]["buckets"].values()) > 0
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        page = series(answer.read())
    assert (page["loadtest_storms_total"], page["loadtest_storm_resynced"]) == (1, 40)
    assert page['loadtest_storm_resync_seconds{share="1"}'] == storm["resync_ns"]["1"] / 1e9
    assert web.get("/").count(b"/stampede/storm.js") == 1
    assert b'"dropped":"40 of 80"' in web.get("/stats/requests").replace(b" ", b"").replace(b"40of80", b"40 of 80")
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert "40 of 80" in ended.out
    assert ended.ended_with(0), ended.out + ended.log
    ledger, counted = ended.ledger(), server.samples()
    assert ledger["received"] == ledger["expected"]
    assert counted[CHAT.format("received")] == ledger["sent"]
    assert counted[CHAT.format("delivered")] >= ledger["received"]


def test_a_repeated_storm_request_starts_no_second_storm(
    web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    web = web_locust("--host", server.url, "--room-size", "10", "--message-rate", "5", "ChattingUser")
    web.post("/swarm", user_count=10, spawn_rate=10)
    web.until(lambda now: now["ready"] == 10)
    numbers = [web.post("/stampede/storm", share=0.5, request=name) for name in ("one", "one", "two")]
    assert [json.loads(number)["id"] for number in numbers] == [1, 1, 2]
    now = web.until(lambda now: {storm["id"] for storm in now["storms"]} == {1, 2})
    assert len(now["storms"]) == 2


def test_the_page_shows_a_storm_without_requests_for_snapshots(
    web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    web = web_locust("--host", server.url, "--room-size", "10", "--message-rate", "5", "ChattingUser")
    web.post("/swarm", user_count=10, spawn_rate=10)
    web.until(lambda now: now["ready"] == 10)
    web.post("/stampede/storm", share=0.5)
    deadline = time.monotonic() + TIMEOUT
    while b'"5 of 10"' not in web.get("/stats/requests"):  # Locust caches the statistics for two seconds
        assert time.monotonic() < deadline
        time.sleep(0.2)


def storms_of(summary: str) -> list[dict[str, str]]:
    """Return the rows of the summary's table of storms, by title."""
    lines = summary.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("  storms  "))
    rows = [re.split(r"\s{2,}", line[14:].strip()) for line in lines[start:]]
    return [dict(zip(rows[0], row, strict=True)) for row in takewhile(lambda row: len(row) == len(rows[0]), rows[1:])]


def test_a_polite_storm_and_churn_are_no_failures(locust: Callable[..., Locust], server: RunningServer) -> None:
    flags = ("-u", "60", "-r", "60", "-t", "8s", "--room-size", "10", "--message-rate", "2", "ChattingUser")
    disturbed = ("--shape", "double-storm", "--storm-manner", "polite", "--churn-per-minute", "6")
    levels = ("--threshold", "loss<0.1%", "--threshold", "resync_p50<60s")
    ended = locust("--headless", "--host", server.url, *flags, *disturbed, *levels).wait()
    assert ended.ended_with(0), ended.out + ended.log
    storms = [map(int, storm["Dropped"].split(" of ")) for storm in storms_of(ended.out)]
    assert [dropped == round(0.5 * users) > 0 for dropped, users in storms] == [
        True,
        True,
    ]  # at any moment some users are away because of churn
    assert "all 2 thresholds met" in ended.out or ended.code == 98
    ledger, table = ended.ledger(), ended.requests()
    assert ledger["received"] == ledger["expected"]
    assert table["resync"][0] > 60
    assert [name for name, (_, failures) in table.items() if failures and name != "send"] == []


def test_a_failed_threshold_gives_exit_code_99(locust: Callable[..., Locust], server: RunningServer) -> None:
    flags = ("ChattingUser", "-u", "20", "-r", "20", "-t", "3s", "--room-size", "10", "--message-rate", "5")
    levels = ("--threshold", "deliver_p50<=0us", "--threshold", "loss<1%")
    ended = locust("--headless", "--host", server.url, *flags, *levels).wait()
    assert ended.ended_with(99), ended.out + ended.log
    assert ended.code == 98 or "verdict     FAILED: 1 of 2 thresholds not met (exit code 99)" in ended.out


def test_a_dead_worker_is_reported_and_the_counts_of_the_others_stay_exact(
    web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    port = free_port()
    flags = ("--room-size", "10", "--message-rate", "5", "--prometheus-port", str(port), "--processes", "2")
    web = web_locust("--host", server.url, *flags, "ChattingUser")
    web.post("/swarm", user_count=40, spawn_rate=40)
    before = web.until(lambda now: now["ready"] == 40 and all(w["users"] for w in now["workers"]))
    killed = before["workers"][1]
    os.kill(killed["pid"], signal.SIGKILL)
    after = web.until(lambda now: now["dead_workers"])
    assert [worker["id"] for worker in after["dead_workers"]] == [killed["id"]]
    assert [worker["index"] for worker in after["workers"]] == [0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        page = series(answer.read())
    assert 'loadtest_worker_users{worker="0"}' in page
    assert 'loadtest_worker_users{worker="1"}' not in page
    assert page["loadtest_invalid"] == 1
    assert page["loadtest_deliveries_total"] > after["deliveries"]["received"]  # a counter never decreases
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.code == 98, ended.out + ended.log
    assert f"worker 1 ({killed['id']}), not included above: 20 users" in ended.out
    assert "INVALID     worker 1 died with 20 users" in ended.out
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] > 0


def test_an_exception_in_one_user_is_reported_and_does_not_affect_others(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(FAILING_USER)
    flags = ("-u", "21", "-r", "21", "-t", "4s", "--room-size", "10", "--message-rate", "5")
    levels = ("--threshold", "loss<1%", "-f", f"loadtest,{locustfile}")
    running = locust("--headless", "--host", server.url, *flags, *levels, "ChattingUser", "FailingUser")
    ended = running.wait(traceback=True)
    assert ended.code == 98, ended.out + ended.log
    assert "user code: exception in user code, 1 times (raised on purpose, " in ended.out
    assert "raised on purpose" in ended.log
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] > 0
    wait_until(lambda: server.samples()["chat_connections"] == 0, "the server to read every end")


def test_users_reconnect_after_a_server_restart(
    web_locust: Callable[..., WebLocust], server: RunningServer, start: Callable[..., RunningServer]
) -> None:
    web = web_locust("--host", server.url, "ChattingUser")
    web.post("/swarm", user_count=10, spawn_rate=10)
    web.until(lambda now: now["ready"] == 10)
    port = server.url.rpartition(":")[2]
    server.stop()
    start("--port", port)  # the last --port counts
    web.until(lambda now: now["ready"] == 10)
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert "connection lost: 1012" in ended.log
    assert not psutil.pid_exists(web.locust.process.pid)
