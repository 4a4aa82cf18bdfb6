"""The first example of the documentation runs in every way in which Locust runs a locustfile, and counts exactly."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import wait_until
from tests.ports import free_port
from tests.promises.own_scenarios import LOAD, SUPPORT_AGENT, assert_exact, is_busy, is_ready, write
from tests.stampede.fixtures import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust, WebLocust
    from tests.virtual_environments import VirtualEnvironment

HEADLESS = ("--headless", *LOAD, "-t", "9s")

TWO_CLASSES = """
from locust import constant, task
from stampede import ChatUser

class Greeter(ChatUser):
    wait_time = constant(1)

    @task
    def greet(self):
        self.client.say("hello")

class Counter(ChatUser):
    wait_time = constant(1)

    @task
    def count(self):
        self.client.request({"type": "ping", "timestamp": 1}, reply="pong", name="count")
"""


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_the_first_example_runs(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, processes: list[str]
) -> None:
    flags = ("-f", write(tmp_path, SUPPORT_AGENT), "--threshold", "loss<0.1%", "--threshold", "deliver_p99<60s")
    ended = locust(*HEADLESS, *flags, "--host", server.url, *processes).wait()
    assert_exact(ended, server)
    assert "all 2 thresholds met" in ended.out or ended.code == 98


def test_an_option_of_the_load_test_applies_to_own_users(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    flags = ("-f", write(tmp_path, SUPPORT_AGENT), "-u", "12", "-r", "12", "-t", "6s")
    ended = locust("--headless", *flags, "--host", server.url, "--rooms", "3", "--threshold", "deliver_p50<=0us").wait()
    samples, ledger = server.samples(), ended.ledger()
    assert (samples["chat_room_joins_total"], samples["chat_rooms_created_total"]) == (12, 3)
    # The first messages may be sent before all users are in their rooms.
    assert 0 < ledger["expected"] == ledger["received"] <= 3 * ledger["sent"]
    assert ended.ended_with(99), ended.out + ended.log


def test_the_first_example_runs_with_separate_masters_and_workers(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    port, file = str(free_port()), ("-f", write(tmp_path, SUPPORT_AGENT))
    master = locust(
        *HEADLESS, *file, "--host", server.url, "--master", "--master-bind-port", port, "--expect-workers", "2"
    )
    workers = [locust(*file, "--worker", "--master-port", port) for _ in range(2)]
    ended = master.wait()
    assert_exact(ended, server)
    for worker in workers:
        assert worker.wait().code == 0


def test_a_worker_with_only_the_wheel_gets_the_locustfile_from_its_master(
    locust: Callable[..., Locust], server: RunningServer, wheel_venv: VirtualEnvironment, tmp_path: Path
) -> None:
    port, file = str(free_port()), ("-f", write(tmp_path, SUPPORT_AGENT))
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [str(wheel_venv.python), "-m", "locust", "-f", "-", "--worker", "--master-port", port]
    master = locust(
        *HEADLESS, *file, "--host", server.url, "--master", "--master-bind-port", port, "--expect-workers", "1"
    )
    with subprocess.Popen(
        command, cwd=empty, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as worker:
        try:
            ended = master.wait()
            log, _ = worker.communicate(timeout=TIMEOUT)
        finally:
            worker.kill()
    assert_exact(ended, server)
    assert worker.returncode == 0, log
    assert "Traceback" not in log


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_the_first_example_runs_from_the_web_page(
    web_locust: Callable[..., WebLocust], server: RunningServer, tmp_path: Path, processes: list[str]
) -> None:
    web = web_locust("-f", write(tmp_path, SUPPORT_AGENT), "--room-size", "5", "--host", server.url, *processes)
    for users in (40, 20):
        before = server.samples()
        web.post("/swarm", user_count=users // 2, spawn_rate=100)
        web.until(partial(is_ready, users // 2))
        web.post("/swarm", user_count=users, spawn_rate=100)
        web.until(partial(is_busy, users))
        web.post("/swarm", user_count=users // 2, spawn_rate=100)
        web.until(partial(is_ready, users // 2))
        web.post("/stop")
        end = web.until(lambda now: now["connections"] == 0 and now["state"] in ("stopped", "ready"))
        counted = {name: value - before.get(name, 0) for name, value in server.samples().items()}
        deliveries, rows = end["deliveries"], end["requests"]
        assert (
            deliveries["received"]
            == deliveries["expected"]
            == counted['chat_messages_delivered_total{type="chatMessage"}']
        )
        assert end["sends"]["sent"] == counted['chat_messages_received_total{type="chatMessage"}']
        assert (rows["WS connect"]["count"], rows["WS connect"]["failures"]) == (users, 0)
        cut_off = counted['chat_messages_received_total{type="ping"}'] - rows["WS look around"]["count"]
        assert 0 <= cut_off <= end["cut_off"], "a stopped user may have been in the middle of a task"
    table = {row["name"]: row["num_requests"] for row in json.loads(web.get("/stats/requests"))["stats"]}
    assert table["look around"] == rows["WS look around"]["count"]


def test_own_classes_run_beside_built_in_ones(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    files = ("-f", f"loadtest,{write(tmp_path, TWO_CLASSES)}", "ChattingUser", "Greeter", "Counter")
    load = ("-u", "36", "-r", "36", "-t", "6s", "--room-size", "12", "--threshold", "loss<0.1%")
    ended = locust("--headless", *files, *load, "--host", server.url).wait()
    ledger, table, counted = ended.ledger(), ended.requests(), server.samples()
    assert ended.ended_with(0), ended.out + ended.log
    assert ledger["expected"] == ledger["received"] == counted['chat_messages_delivered_total{type="chatMessage"}'] > 0
    assert ledger["sent"] == counted['chat_messages_received_total{type="chatMessage"}'] == table["send"][0]
    assert counted['chat_messages_received_total{type="ping"}'] == table["count"][0] > 0
    wait_until(lambda: server.samples()["chat_connections"] == 0, "the server to read every end")
