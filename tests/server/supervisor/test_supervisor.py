"""`--workers`: several server processes share a port, are restarted, are found by Prometheus, and count exactly."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from tests import preloaded
from tests.clients import ChatClient
from tests.metrics.fixtures import wait_until
from tests.metrics.pages import series
from tests.ports import free_port
from tests.processes import run_server, start_server
from tests.stampede.fixtures import locust, web_locust  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stampede.fixtures import WebLocust

CHAT = 'chat_messages_{}_total{{type="chatMessage"}}'
USERS = 1000
ROOMS = 50


class Workers:
    """A running `python -m server --workers N`."""

    def __init__(self, *flags: str, port: int = 0, drain_seconds: int = 0) -> None:
        command = [sys.executable, "-m", "server", "--port", str(port), "--log-level", "warning"]
        command += ["--drain-seconds", str(drain_seconds)]
        self.process = preloaded.popen([*command, *flags], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.url = self._address(r"ws://\S+")
        self.discovery = self._address(r"http://\S+")

    def _address(self, pattern: str) -> str:
        assert self.process.stdout is not None
        match = re.search(pattern, self.process.stdout.readline())
        assert match is not None
        return match.group()

    def get(self, url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own
            return bytes(answer.read())

    def status(self, url: str) -> int:
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code

    def parent_page(self, page: str) -> bytes:
        """Return a page of the supervisor."""
        return self.get(self.discovery.replace("/targets", page))

    def samples(self, discovery: str = "") -> list[dict[str, float]]:
        """Return the metrics of each worker, found through service discovery."""
        groups = json.loads(self.get(discovery or self.discovery))
        targets = [target for group in groups for target in group["targets"]]
        return [series(self.get(f"http://{target}/metrics")) for target in targets]

    def children(self) -> list[psutil.Process]:
        return [child for child in psutil.Process(self.process.pid).children() if "server" in child.cmdline()]

    def stop(self) -> None:
        """Stop the server and check that no process is left."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        _, alive = psutil.wait_procs(family, 20)
        assert not alive
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    running = Workers("--workers", str(request.param))
    yield running
    running.stop()


@pytest.mark.parametrize("workers", [2, 4], indirect=True)
def test_a_thousand_users_in_rooms_that_span_workers_receive_every_message_once(
    workers: Workers,
    web_locust: Callable[..., WebLocust],  # noqa: F811 - the fixture
) -> None:
    web = web_locust("--host", workers.url, "--rooms", str(ROOMS), "--message-rate", "0.5", "ChattingUser")
    web.post("/swarm", user_count=USERS, spawn_rate=250)
    begun = web.until(lambda now: now["ready"] == USERS)["deliveries"]["received"]
    web.until(lambda now: now["deliveries"]["received"] > begun + 10 * USERS)
    web.locust.process.send_signal(signal.SIGTERM)
    done = web.locust.wait()
    told = re.search(r"(\d+) expected, (\d+) received, 0 lost, 0 duplicated, 0 reordered", done.out)
    sent = re.search(r"(\d+) sent", done.out)
    assert told is not None, done.out + done.log
    assert sent is not None
    assert told[1] == told[2]
    samples = workers.samples()
    assert sum(page[CHAT.format("received")] for page in samples) == int(sent[1]) > 0
    assert sum(page[CHAT.format("delivered")] for page in samples) == int(told[1])
    assert sum(page["chat_connections_opened_total"] for page in samples) >= USERS  # the preflight check opens one more
    assert all(page["chat_connections_opened_total"] for page in samples)
    # A room is created once in each worker that it spans; with 20 members it spans nearly all of them.
    assert sum(page["chat_rooms_created_total"] for page in samples) > ROOMS * (len(samples) - 0.5)
    assert not sum(value for page in samples for name, value in page.items() if name.startswith("chat_bus_dropped"))
    # One bus message carries a room's batch, however many members it has; presence and heartbeats are few.
    from_bus = sum(page['chat_bus_messages_total{direction="sent"}'] for page in samples)
    assert from_bus < int(sent[1]) + 3 * USERS


@pytest.mark.parametrize("workers", [2], indirect=True)
def test_a_worker_that_dies_is_restarted_and_counted(workers: Workers) -> None:
    victim = workers.children()[0]
    victim.kill()
    wait_until(lambda: series(workers.parent_page("/metrics"))["chat_worker_restarts_total"] == 1, "a restart")
    wait_until(lambda: series(workers.parent_page("/metrics"))["chat_workers"] == 2, "both workers")
    assert workers.parent_page("/health") == b"OK"
    wait_until(lambda: [page["chat_bus_nodes"] for page in workers.samples()] == [2, 2], "both nodes")


def test_workers_and_nats_end_when_their_parent_is_killed() -> None:
    running = Workers("--workers", "2")
    family = psutil.Process(running.process.pid).children(recursive=True)
    running.process.kill()
    running.process.wait()
    _, alive = psutil.wait_procs(family, 30)
    assert not alive
    assert running.process.stdout is not None
    running.process.stdout.close()


def test_a_port_in_use_is_reported_in_one_line_with_exit_code_1() -> None:
    running = Workers("--workers", "2")
    try:
        port = running.discovery.partition("//")[2].partition("/")[0].rpartition(":")[2]
        done = run_server("--workers", "2", "--metrics-port", port)
        assert done.returncode == 1
        assert (
            done.stderr.strip()
            == f"stampede: cannot listen on 127.0.0.1:{port}: address already in use; choose another port"
        )
    finally:
        running.stop()


def test_the_first_line_is_printed_when_all_workers_are_ready() -> None:
    running = Workers("--workers", "2")
    try:
        assert series(running.parent_page("/metrics"))["chat_workers"] == 2
    finally:
        running.stop()


def test_workers_drain_at_the_first_signal_and_end_at_the_second() -> None:
    running = Workers("--workers", "2", drain_seconds=3600)
    assert running.process.stdout is not None
    with ExitStack() as stack:
        clients = [stack.enter_context(ChatClient(running.url)) for _ in range(16)]
        for client in clients:
            client.expect("connected")
        running.process.send_signal(signal.SIGINT)
        assert running.process.stdout.readline() == "draining 2 workers, Ctrl-C again to end now\n"
        public = running.url.replace("ws://", "http://")
        wait_until(lambda: running.status(f"{public}/health") == 503, "the workers to drain")
        still_there = 0
        for client in clients:
            with contextlib.suppress(ConnectionClosed):
                client.send("ping")
                still_there += client.receive()["type"] == "pong"
        assert still_there >= 14  # the drain closes one every few minutes
        running.stop()


@pytest.mark.parametrize(
    ("host", "shown", "addresses"),
    [
        ("::1", "[::1]", ["[::1]"]),
        ("::", "[::]", ["[::1]", "127.0.0.1"]),
        ("", "[::]", ["[::1]", "127.0.0.1"]),
        ("0.0.0.0", "0.0.0.0", ["127.0.0.1"]),  # noqa: S104 - this machine's loopback is part of it
    ],
)
def test_workers_and_their_metrics_are_found_at_each_address_of_a_host(
    host: str, shown: str, addresses: list[str]
) -> None:
    running = Workers("--workers", "2", "--host", host)
    try:
        assert running.url.rpartition(":")[0] == f"ws://{shown}"
        for address in addresses:
            chat = running.url.replace(shown, address).replace("ws://", "http://")
            assert running.get(f"{chat}/health") == b"OK"
            pages = running.samples(running.discovery.replace(shown, address))
            assert [page["chat_bus_nodes"] >= 1 for page in pages] == [True, True]
            targets = json.loads(running.get(running.discovery.replace(shown, address)))
            assert {target.rpartition(":")[0] for group in targets for target in group["targets"]} == {address}
    finally:
        running.stop()


def test_workers_can_take_over_the_port_of_a_single_process_at_once() -> None:
    port = free_port()
    single = start_server("--drain-seconds", "0", "--port", str(port))
    with ChatClient(single.url) as client:
        client.expect("connected")
        single.stop()  # the server closes first, so its side of the connection stays in TIME_WAIT
    running = Workers("--workers", "2", port=port)
    assert running.url == single.url
    running.stop()


def test_service_discovery_stays_on_the_next_port_unless_it_is_in_use() -> None:
    port, next_port = adjacent_ports()
    for _ in range(2):
        running = Workers("--workers", "2", port=port)
        assert running.discovery == f"http://127.0.0.1:{next_port}/targets"
        running.stop()
    with socket.create_server(("127.0.0.1", next_port)):
        running = Workers("--workers", "2", port=port)
        assert running.discovery != f"http://127.0.0.1:{next_port}/targets"
        running.stop()


def adjacent_ports() -> tuple[int, int]:
    """Return two adjacent free ports."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
            return port, port + 1


@pytest.mark.parametrize("workers", [2], indirect=True)
def test_the_public_port_names_the_metrics_port_and_its_status_counts_all_workers(workers: Workers) -> None:
    public = workers.url.replace("ws://", "http://")
    with pytest.raises(urllib.error.HTTPError) as refused:
        workers.get(f"{public}/metrics")
    assert refused.value.code == 404
    hint = refused.value.read()
    assert b"--metrics-port" in hint
    assert b"/targets" in hint
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(ChatClient(workers.url))
        # The numbers of the other processes are up to one heartbeat old.
        nodes = {json.loads(workers.get(f"{public}/api/status"))["node"] for _ in range(64)}
        assert len(nodes) == 2
        for node in nodes:
            wait_until(partial(counts, f"{public}/api/status", node, 8, workers), "all connections to be counted")


def counts(url: str, node: str, connections: int, workers: Workers) -> bool:
    status = json.loads(workers.get(url))
    return bool(status["node"] == node and status["connections"] == connections)


@pytest.mark.parametrize("moment", ["bus", "workers", "hung"])
def test_a_signal_during_startup_ends_all_processes(moment: str) -> None:
    mark = f"{os.getpid()}-{moment}"
    command = [sys.executable, "-m", "tests.promises.stop_during_start", moment, "--port", "0", "--workers", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TEST_MARK": mark}
    )
    try:
        out, log = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, log
    assert "Traceback" not in log
    assert "stampede:" not in log
    assert "Stampede listening" not in out
    wait_until(lambda: not _marked(mark), "all processes to end")


def _marked(mark: str) -> list[psutil.Process]:
    """Return the processes whose environment contains a mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TEST_MARK") == mark:
                found.append(process)
    return found
