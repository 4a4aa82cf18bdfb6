"""Own users against known faults: the report is as exact as for the built-in users, and no task sees an exception."""

from __future__ import annotations

import re
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.metrics.fixtures import wait_until
from tests.promises.faulty_server import assert_faults_are_counted, faulty_server
from tests.promises.own_scenarios import MESSAGES, is_ready, write
from tests.stampede.fixtures import latency, storm_is_over

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust, WebLocust

TALKER = """
from locust import constant, task
from stampede import ChatUser

class Talker(ChatUser):
    wait_time = constant(0.2)

    @task
    def talk(self):
        self.client.say("hello")
"""

WAITER = """
import sys
from locust import constant, task
from stampede import ChatUser

class Waiter(ChatUser):
    wait_time = constant(0)

    @task
    def wait_for_the_server(self):
        try:
            result = {call}
            print("returned", result, file=sys.stderr, flush=True)
        except Exception as error:
            print("raised", error, file=sys.stderr, flush=True)
"""

ASKS = 'self.client.request({"type": "typing"}, reply="never", name="ask", timeout=600)'
UPLOADS = "self.client.upload(1000)"

MIXED = """
from locust import constant, task
from stampede import ChatUser

class Mixed(ChatUser):
    wait_time = constant(0.1)

    @task(3)
    def talk(self):
        self.client.say("hello")

    @task
    def ask(self):
        self.client.request({"type": "ping", "timestamp": 1}, reply="pong", name="ask")

    @task
    def upload(self):
        self.client.upload(2000)
"""

MATCHER = """
from locust import constant, task
from stampede import ChatUser

class Careless(ChatUser):
    wait_time = constant(0.5)

    @task
    def ask(self):
        self.client.say()
        self.client.request(
            {"type": "ping", "timestamp": 1}, reply=lambda message: message["missing"] == 1, name="ask", timeout=20
        )
"""


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_planted_faults_of_deliveries_are_counted_exactly(
    locust: Callable[..., Locust], tmp_path: Path, processes: list[str]
) -> None:
    flags = ("-u", "40", "-r", "40", "-t", "6s", "--room-size", "10", "-f", write(tmp_path, TALKER), *processes)
    with faulty_server(drop=97, duplicate=151, reorder=211, delay=0.04) as server:
        ended = locust("--headless", "--host", server.url, *flags).wait()
        server.stop()
    truth = server.counts
    assert_faults_are_counted(ended, truth)
    assert ended.ledger()["sent"] == truth["messages"]
    for clock in ("intended", "actual"):
        assert latency(ended.out, f"from {clock} send", "p50") >= truth["delayed"] * 0.98


@pytest.mark.parametrize("manner", ["abrupt", "polite"])
@pytest.mark.parametrize(("call", "row"), [(ASKS, "ask"), (UPLOADS, "upload")])
def test_a_storm_cuts_off_what_tasks_wait_for(
    web_locust: Callable[..., WebLocust], tmp_path: Path, call: str, row: str, manner: str
) -> None:
    def all_wait(now: Any) -> bool:
        return bool(now["ready"] == 12)

    with faulty_server(upload_delay=600) as server:
        file = write(tmp_path, WAITER.format(call=call))
        web = web_locust("-f", file, "--host", server.url, "--room-size", "4", "--storm-manner", manner)
        web.post("/swarm", user_count=12, spawn_rate=12)
        web.until(all_wait)
        for storms in (1, 2):
            web.post("/stampede/storm", share=1.0, manner=manner)
            now = web.until(partial(has_cut_off, 12 * storms))
            assert now["requests"].get(f"WS {row}", {"count": 0})["count"] == 0, "neither a success nor a failure"
            web.until(all_wait)
        web.locust.process.send_signal(signal.SIGTERM)
        ended = web.locust.wait()
        server.process.kill()  # its uploads are still in progress
        server.process.communicate()
    assert ended.ended_with(0), ended.out + ended.log
    assert "raised" not in ended.log
    # A task may also begin a call while its user is dropped; that one returns without a request.
    assert ended.log.count(f"returned {None if call is ASKS else False}") >= 24
    (cut_off,) = re.findall(r" (\d+) cut off", ended.out)
    assert 24 < int(cut_off) <= 36, "two storms, and the end for each user that waits again"


def has_cut_off(number: int, now: Any) -> bool:
    """Return whether so many requests were cut off, and all users are back."""
    return bool(now["cut_off"] == number and now["ready"] == 12)


def test_churn_and_storms_in_the_middle_of_tasks_are_no_failures(
    web_locust: Callable[..., WebLocust], server: RunningServer, tmp_path: Path
) -> None:
    flags = ("--room-size", "10", "--churn-per-minute", "20", "--host", server.url)
    web = web_locust("-f", write(tmp_path, MIXED), *flags)
    web.post("/swarm", user_count=30, spawn_rate=30)
    web.until(partial(is_ready, 30))
    web.post("/stampede/storm", share=1.0)
    web.until(partial(storm_is_over, 30))
    web.until(lambda now: now["drops"]["churn"] >= 20)
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.failed() == []
    ledger, table, samples = ended.ledger(), ended.requests(), server.samples()
    assert ledger["received"] == ledger["expected"] > 0
    # A reset may overtake the last message of its user.
    unread = ledger["sent"] - samples[MESSAGES.format("received", "chatMessage")]
    assert 0 <= unread <= samples['chat_connections_closed_total{reason="vanished"}']
    assert table["ask"][0] > 0 < table["upload"][0]


def test_a_server_that_is_killed_and_comes_back_is_reported(
    web_locust: Callable[..., WebLocust],
    server: RunningServer,
    start: Callable[..., RunningServer],
    tmp_path: Path,
) -> None:
    web = web_locust("-f", write(tmp_path, MIXED), "--room-size", "10", "--host", server.url)
    web.post("/swarm", user_count=20, spawn_rate=20)
    web.until(lambda now: now["ready"] == 20 and now["deliveries"]["received"] > 200)
    port = server.url.rpartition(":")[2]
    server.kill()
    web.until(lambda now: now["connections"] == now["ready"] == 0)
    again = start("--port", port)
    back = web.until(lambda now: now["ready"] == 20)
    received = back["deliveries"]["received"] + 200
    web.until(lambda now: now["deliveries"]["received"] > received)
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.ended_with(1), ended.out + ended.log
    assert "connect" in ended.failed()
    assert len(ended.log.splitlines()) < 70, "a line for each kind of failure, not for each failure"
    ledger = ended.ledger()
    assert ledger["expected"] == ledger["received"] + ledger["lost"]
    wait_until(lambda: again.samples()["chat_connections"] == 0, "the server to read every end")


def test_a_reply_function_that_raises_is_counted_as_code_of_the_scenario(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    flags = ("-u", "4", "-r", "4", "-t", "4s", "--room-size", "4", "--host", server.url)
    ended = locust("--headless", "-f", write(tmp_path, MATCHER), *flags).wait(traceback=True)
    assert ended.code == 98
    assert re.search(r"exception in user code, \d+ times \('missing', ", ended.out)
    assert "internal" not in ended.out.lower()
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] > 0
    table = ended.requests()
    assert table["connect"] == (4, 0)
    assert table["ask"][0] == table["ask"][1] >= 4
