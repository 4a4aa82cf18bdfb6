"""Where own users connect to: a class attribute, `--host` and the web page, and HTTP clients beside the chat client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede.websocket.target import DEFAULT_HOST
from tests.promises.own_scenarios import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust, WebLocust

NOWHERE = "ws://127.0.0.1:9"

ONE_HOST = """
from locust import constant, task
from stampede import ChatUser

class Agent(ChatUser):
    wait_time = constant(0.2)
    host = "{host}"

    @task
    def act(self):
        self.client.say()
"""

TWO_HOSTS = """

class Other(Agent):
    host = "ws://127.0.0.1:7"
"""

BOTH_CLIENTS = """
import gevent
from locust import FastHttpUser, HttpUser, constant, task
from stampede import ChatClient, ChatUser

class Agent({bases}):
    wait_time = constant(0.1)
    {attribute}

    @task
    def act(self):
        self.client.get("/health", name="health")
        self.chat.request({{"type": "ping", "timestamp": 1}}, reply="pong", name="look around")
        self.chat.say()
        with self.chat.measure("both"):
            pass
        print("saw:", type(self.client).__name__, isinstance(self.chat, ChatClient), self.client.base_url, flush=True)
        gevent.spawn_later(0.5, self.environment.runner.quit)
"""


def test_the_class_attribute_counts_without_an_option(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    file = write(tmp_path, ONE_HOST.format(host=server.url))
    ended = locust("--headless", "-f", file, "-u", "4", "-r", "4", "-t", "3s").wait()
    assert ended.requests()["connect"] == (4, 0), ended.out + ended.log
    assert ended.ended_with(0)


def test_the_option_takes_precedence_over_the_class_attribute(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    file = write(tmp_path, ONE_HOST.format(host=NOWHERE))
    ended = locust("--headless", "-f", file, "--host", server.url, "-u", "4", "-r", "4", "-t", "3s").wait()
    assert ended.requests()["connect"] == (4, 0), ended.out + ended.log
    without = locust("--headless", "-f", file, "-t", "3s").wait()
    assert without.code == 2
    assert f"cannot connect to {NOWHERE}/: connection refused" in without.log


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_the_web_page_takes_precedence_over_both(
    web_locust: Callable[..., WebLocust], server: RunningServer, tmp_path: Path, processes: list[str]
) -> None:
    web = web_locust("-f", write(tmp_path, ONE_HOST.format(host=NOWHERE)), *processes)
    web.post("/swarm", user_count=4, spawn_rate=4, host=server.url)
    web.until(lambda now: now["ready"] == 4)
    assert server.samples()["chat_connections"] == 4


def test_two_hosts_in_one_test_are_refused_in_one_line(locust: Callable[..., Locust], tmp_path: Path) -> None:
    file = write(tmp_path, ONE_HOST.format(host=NOWHERE) + TWO_HOSTS)
    ended = locust("--headless", "-f", file, "-t", "3s", "--loglevel", "WARNING").wait()
    assert ended.code == 2
    (line,) = ended.log.splitlines()
    assert line == (
        f"locust: error: user classes with different hosts (Agent: {NOWHERE}, Other: ws://127.0.0.1:7): give --host"
    )


def test_without_any_host_users_connect_to_the_default_one(locust: Callable[..., Locust], tmp_path: Path) -> None:
    file = write(tmp_path, ONE_HOST.format(host=NOWHERE).replace('host = "', 'unused = "'))
    ended = locust("--headless", "-f", file, "-t", "1s", "--path", "/nowhere").wait()
    assert ended.code == 2
    assert f"cannot connect to {DEFAULT_HOST}/nowhere" in ended.log


@pytest.mark.parametrize("bases", ["HttpUser, ChatUser", "ChatUser, FastHttpUser"])
@pytest.mark.parametrize("given", [False, True], ids=["http from ws", "http_host"])
def test_a_user_may_have_an_http_client_beside_the_chat_client(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, bases: str, given: bool
) -> None:
    attribute = f'http_host = "{server.http}/health?"' if given else ""
    file = write(tmp_path, BOTH_CLIENTS.format(bases=bases, attribute=attribute))
    ended = locust("--headless", "-f", file, "--host", f"{server.url}/ws/chat", "-u", "2", "-r", "2").wait()
    kind = "HttpSession" if bases.startswith("Http") else "FastHttpSession"
    assert f"saw: {kind} True {server.http}{'/health?' if given else ''}\n" in ended.out
    assert ended.ended_with(0), ended.out + ended.log
    table = ended.requests()
    assert table["look around"][0] > 0 < table["both"][0]
    assert "GET      health" in ended.log
    assert ended.ledger()["received"] == ended.ledger()["expected"]
