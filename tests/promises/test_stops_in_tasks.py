"""Users that are stopped in the middle of a task: by the end of the test, by a ramp-down, or by a task of their own."""

from __future__ import annotations

import re
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import wait_until
from tests.promises.own_scenarios import MESSAGES, is_ready, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust, WebLocust

# The reply to the first question never arrives. The one to the second question takes two seconds.
PATIENT = """
import gevent
from locust import constant, task
from stampede import ChatUser

class Patient(ChatUser):
    wait_time = constant(0)

    @task
    def ask(self):
        gevent.spawn_later(2, self.client.send, {{"type": "ping", "timestamp": 5}})
        self.client.request({{"type": "typing"}}, reply="pong" if {answered} else "never", name="ask", timeout=600)
        self.client.say("done")
        print("task finished")
"""

PROCESSES = pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])


def cut_off(out: str) -> int:
    """Return how many requests the summary counts as cut off."""
    found = re.findall(r"^  .{11} (\d+) cut off", out, re.MULTILINE)
    return int(found[0]) if found else 0


@PROCESSES
def test_a_stop_cuts_off_the_requests_that_wait(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, processes: list[str]
) -> None:
    file = write(tmp_path, PATIENT.format(answered=False))
    running = locust(
        "--headless", "-f", file, "-u", "8", "-r", "8", "--room-size", "4", "--host", server.url, *processes
    )
    wait_until(lambda: server.samples()[MESSAGES.format("received", "ping")] >= 8, "every user to be in its task")
    running.interrupt()
    ended = running.wait()
    assert ended.ended_with(0), ended.out + ended.log
    assert cut_off(ended.out) == 8
    assert "ask" not in ended.requests()
    wait_until(lambda: server.samples()["chat_connections"] == 0, "the server to read every end")


@PROCESSES
def test_with_a_stop_timeout_tasks_are_finished_and_counted(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, processes: list[str]
) -> None:
    file = write(tmp_path, PATIENT.format(answered=True))
    flags = ("-u", "8", "-r", "8", "--room-size", "4", "--stop-timeout", "60", "--host", server.url)
    running = locust("--headless", "-f", file, *flags, *processes)
    wait_until(lambda: server.samples()[MESSAGES.format("received", "typing")] >= 8, "every user to be in its task")
    running.interrupt()
    ended = running.wait()
    assert ended.ended_with(0), ended.out + ended.log
    finished, ledger, table = ended.out.count("task finished"), ended.ledger(), ended.requests()
    assert finished == server.samples()[MESSAGES.format("received", "typing")] >= 8
    assert table["ask"] == (finished, 0)
    assert ledger["sent"] == finished == server.samples()[MESSAGES.format("received", "chatMessage")]
    assert (ledger["received"], ledger["lost"]) == (ledger["expected"], 0)
    assert cut_off(ended.out) == 0


def test_a_task_longer_than_the_stop_timeout_is_cut_off(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    file = write(tmp_path, PATIENT.format(answered=False))
    flags = ("-u", "4", "-r", "4", "--stop-timeout", "1", "--host", server.url)
    running = locust("--headless", "-f", file, *flags)
    wait_until(lambda: server.samples()[MESSAGES.format("received", "typing")] >= 4, "every user to be in its task")
    running.interrupt()
    ended = running.wait()
    assert ended.ended_with(0), ended.out + ended.log
    assert cut_off(ended.out) == 4
    wait_until(lambda: server.samples()["chat_connections"] == 0, "the server to read every end")


def test_a_ramp_down_cuts_off_the_requests_of_the_users_that_it_stops(
    web_locust: Callable[..., WebLocust], server: RunningServer, tmp_path: Path
) -> None:
    file = write(tmp_path, PATIENT.format(answered=False))
    web = web_locust("-f", file, "--room-size", "4", "--host", server.url)
    web.post("/swarm", user_count=12, spawn_rate=12)
    wait_until(lambda: server.samples()[MESSAGES.format("received", "typing")] == 12, "every user to be in its task")
    web.post("/swarm", user_count=4, spawn_rate=12)
    now = web.until(lambda now: now["ready"] == now["users"] == 4)
    assert now["cut_off"] == 8
    assert (now["rooms"], now["room_size"]) == (1, 4.0), "the highest places are stopped first"
    web.locust.process.send_signal(signal.SIGTERM)
    assert cut_off(web.locust.wait().out) == 12


@PROCESSES
def test_rooms_of_own_users_become_empty_one_after_the_other(
    web_locust: Callable[..., WebLocust], server: RunningServer, tmp_path: Path, processes: list[str]
) -> None:
    chatty = PATIENT.format(answered=False).replace("constant(0)", "constant(0.2)")
    chatty = chatty.replace("gevent.spawn_later", "return self.client.say()\n        gevent.spawn_later")
    web = web_locust("-f", write(tmp_path, chatty), "--room-size", "5", "--host", server.url, *processes)
    web.post("/swarm", user_count=40, spawn_rate=40)
    web.until(lambda now: now["ready"] == 40)
    for users in (30, 20, 10):
        web.post("/swarm", user_count=users, spawn_rate=100)
        now = web.until(partial(is_ready, users))
        assert now["room_size"] == 5.0
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    ledger, counted = ended.ledger(), server.samples()
    assert ended.ended_with(0), ended.out + ended.log
    assert ledger["sent"] == counted[MESSAGES.format("received", "chatMessage")]
    assert ledger["received"] == ledger["expected"] > 0
