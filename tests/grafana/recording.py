"""Record a short run of a chat server with a real Prometheus: mixed Locust users, storms, and faulty clients.

Some clients do not answer pings, stop reading, flood, send invalid messages or request an unknown path, so that every
metric has something to count. At the end the server drains under load.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from websockets.exceptions import ConnectionClosed

from tests.clients import ChatClient
from tests.metrics.fixtures import Prometheus, configured, wait_until
from tests.metrics.test_generator import Generator
from tests.ports import free_ports
from tests.processes import start_server
from tests.promises.raw_clients import RawClientPool, frame, message
from tests.server.cluster.fixtures import Nats
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.promises.raw_clients import Client

JOBS: Final = ("chat", "loadtest")
USERS: Final = 120
SILENT: Final = 6
SLOW_CONSUMERS: Final = 4
SENDERS: Final = 3
TEXT_BYTES: Final = 8000
DRAIN_SECONDS: Final = 4
OTHER_ROOM: Final = "the shared room"
# More than half of the users storm, and the handshake rate is low, so that a storm lasts for several scrapes.
WEIGHTS: Final = (("ReconnectStormUser", 28), ("FileUploadUser", 2))
SERVER_FLAGS: Final = (
    *("--heartbeat-interval", "1", "--heartbeat-timeout", "5", "--drain-seconds", str(DRAIN_SECONDS)),
    *("--max-connections", "160", "--message-rate", "60", "--handshake-rate", "20"),
    *("--buffer-soft-limit", "65536", "--buffer-hard-limit", "16777216", "--slow-timeout", "3"),
)
LOCUST_FLAGS: Final = (
    *("--rooms", "6", "--message-rate", "2", "--upload-bytes", "1m-4m", "--storm-share", "0.9"),
    *("--storm-period", "6", "--loglevel", "WARNING"),
)


@dataclass(frozen=True, slots=True)
class Recording:
    """The recorded run; times are Unix seconds.

    Attributes:
        prometheus: the Prometheus server that scraped the run.
        start: time before the first user.
        live: time after all events, while the server still runs.
        end: time after the server has drained and ended.
    """

    prometheus: Prometheus
    start: float
    live: float
    end: float


@contextmanager
def record_run(folder: Path, *, pause_seconds: float = 1.0) -> Iterator[Recording]:
    """Run all events and yield the recording; `pause_seconds` separates the events."""
    nats = Nats()
    server = start_server("--nats", nats.url, "--upload-dir", str(folder / "uploads"), *SERVER_FLAGS)
    try:
        with (
            _second_server(nats.url, server.url) as parent,
            _locust(server.url) as locust,
            configured(_configuration(folder, (server.http, parent), locust), folder / "data") as url,
            RawClientPool(server.url) as pool,
        ):
            prometheus = Prometheus(
                url, ("chat", "chat", "loadtest")
            )  # the server under test, and the parent of the second one
            prometheus.wait_for_scrape()
            start = time.time()
            pool.run(2)
            locust.tell("/swarm", user_count=USERS, spawn_rate=20)
            _FaultyClients(server, pool, prometheus, locust).run(pause_seconds)
            prometheus.wait_for_scrape()
            live = time.time()
            server.stopped = True
            server.process.send_signal(signal.SIGTERM)
            pool.wait_until(lambda: server.process.poll() is not None, "the server to be drained")
            assert server.process.returncode == 0
            locust.tell("/stop")
            wait_until(lambda: prometheus.query('up{job="chat"} == 0') != {}, "Prometheus to miss the server")
            yield Recording(prometheus, start, live, time.time())
    finally:
        server.kill()
        nats.kill()


@contextmanager
def _second_server(nats: str, url: str) -> Iterator[str]:
    """Run two more server processes, with a client that sends to a client of the first; yield their parent's URL."""
    other = start_server("--nats", nats, "--drain-seconds", "0", "--workers", "2", "--metrics-port", "0")
    stop = threading.Event()
    try:
        with ChatClient(url) as listener, ChatClient(other.url) as talker:
            for client in (listener, talker):
                client.send("joinRoom", room=OTHER_ROOM)
            listening = threading.Thread(target=_read_until_closed, args=(listener,), daemon=True)
            talking = threading.Thread(target=_send_until, args=(talker, stop))
            for thread in (listening, talking):
                thread.start()
            yield other.first_lines[1].split()[-1]
            stop.set()
            talking.join()
    finally:
        stop.set()
        other.kill()


def _send_until(client: ChatClient, stop: threading.Event) -> None:
    while not stop.wait(0.25):
        client.send("chatMessage", text="hello")


def _read_until_closed(client: ChatClient) -> None:
    """Read messages until the server closes the connection."""
    with contextlib.suppress(ConnectionClosed, TimeoutError):
        while True:
            client.receive()


def _configuration(folder: Path, servers: Sequence[str], locust: Generator) -> Path:
    """Return the configuration for load tests as it is shipped, aimed at these."""
    shipped = folder / "prometheus"
    shutil.copytree(ROOT / "metrics" / "prometheus", shipped)
    for job, urls in zip(JOBS, (servers, [locust.metrics]), strict=True):
        targets = [urllib.parse.urlsplit(url).netloc for url in urls]
        (shipped / "targets" / f"{job}.yml").write_text(json.dumps([{"targets": targets}]))  # JSON is YAML
    return shipped / "loadtest.yml"


class _FaultyClients:
    """Clients in addition to the pool, each kind with its own fault."""

    def __init__(self, server: RunningServer, pool: RawClientPool, prometheus: Prometheus, locust: Generator) -> None:
        self._server = server
        self._pool = pool
        self._prometheus = prometheus
        self._locust = locust

    def run(self, pause_seconds: float) -> None:
        """Run all faults; return once Prometheus has scraped their effects."""
        pool = self._pool
        self._until("chat_connections", USERS * 0.9)
        pool.run(pause_seconds)
        silent = self._connect(SILENT)
        for client in silent:
            pool.pause_reading(client)
        self._send_invalid_input()
        pool.run(pause_seconds)
        self._locust.tell("/stampede/storm", share=0.5)
        self._cause_slow_consumers()
        self._until('loadtest_storm_resync_seconds{share="0.5"}', 0)
        self._until("chat_heartbeat_kills_total", SILENT)
        self._until('chat_uploads_total{outcome="saved"}', 1)
        self._until("loadtest_resync_duration_seconds_count", 1)
        pool.run(pause_seconds)

    def _send_invalid_input(self) -> None:
        """Request an unknown path, send invalid messages, flood, and stall an upload."""
        pool = self._pool
        pool.add(b"GET /nowhere HTTP/1.1\r\nHost: stampede.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")  # fmt: skip
        self._server.get("/health")
        invalid, flooding, stalling = self._connect(3)
        pool.join_rooms([flooding, stalling], ["the flooded room"])
        pool.send(stalling, message("fileStart", name="never finished", size=1_000_000))
        pool.send(invalid, frame(b"nonsense") + message("noSuchType"))
        pool.send(flooding, b"".join(message("chatMessage", text=str(number)) for number in range(200)))

    def _connect(self, count: int, *, receive_buffer: int = 0) -> list[Client]:
        """Retry until so many clients are connected: in a storm most handshakes are refused."""
        pool = self._pool
        inside: list[Client] = []
        while len(inside) < count:
            client = pool.add(receive_buffer=receive_buffer)
            pool.wait_until(lambda client=client: client.status or client.is_gone, "an answer")  # type: ignore[misc] # bound
            if client.is_open:
                inside.append(client)
            else:
                pool.abort([client])
                pool.run(0.2)
        return inside

    def _cause_slow_consumers(self) -> None:
        """Make clients slow consumers until the server disconnects them; repeat until a scrape has counted them."""
        for tries in range(1, 6):
            self._stop_reading_until_dropped(tries * SLOW_CONSUMERS)
            if self._value("max_over_time(chat_slow_consumers[5m])") >= SLOW_CONSUMERS:
                return
        raise AssertionError("no scrape has seen the slow consumers")

    def _stop_reading_until_dropped(self, kills: int) -> None:
        pool = self._pool
        senders, slow_consumers = self._connect(SENDERS), self._connect(SLOW_CONSUMERS, receive_buffer=16384)
        pool.join_rooms([*senders, *slow_consumers], ["the busy room"])
        for client in slow_consumers:
            pool.pause_reading(client)
        due = 0.0

        def send_large(now: float) -> None:
            nonlocal due
            if now >= due:
                due += 0.1
                _send_large(pool, senders, slow_consumers)

        deadline = time.monotonic() + 90
        while self._value("chat_slow_consumer_kills_total") < kills:
            assert time.monotonic() < deadline, "silent clients were not disconnected"
            due = 0.0
            pool.run(0.5, send_large)
        pool.abort(senders)

    def _value(self, metric: str) -> float:
        return max(self._prometheus.query(metric).values(), default=-1.0)

    def _until(self, metric: str, least: float) -> None:
        """Run until a metric has reached a value in Prometheus; query at most twice per second."""
        asked = [0.0, False]

        def seen() -> bool:
            if time.monotonic() - asked[0] > 0.5:
                asked[:] = time.monotonic(), self._value(metric) >= least
            return bool(asked[1])

        self._pool.wait_until(seen, f"{metric} to reach {least}")


def _send_large(pool: RawClientPool, senders: list[Client], slow_consumers: list[Client]) -> None:
    """Send enough to fill the buffers of slow consumers, which ping so that the heartbeat does not drop them."""
    for sender in senders:
        for _ in range(4):
            pool.send(sender, message("chatMessage", text="." * TEXT_BYTES))
        pool.send(sender, message("typing", isTyping=True))
    for slow_consumer in slow_consumers:
        pool.send(slow_consumer, message("ping"))


@contextmanager
def _locust(host: str) -> Iterator[Generator]:
    """Run Locust with every user class in one process, controlled by its web API."""
    web, metrics = free_ports(2)
    weights = [json.dumps({"user_class_name": name, "weight": weight}) for name, weight in WEIGHTS]
    command = [
        *(sys.executable, "-m", "locust", "-f", "loadtest", "--host", host, *LOCUST_FLAGS),
        *("--web-host", "127.0.0.1", "--web-port", str(web), "--prometheus-port", str(metrics)),
        *("--config-users", *weights),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            running = Generator(f"http://127.0.0.1:{web}", f"http://127.0.0.1:{metrics}/metrics")
            wait_until(lambda: process.poll() is not None or running.ready(), "Locust to answer")
            assert process.poll() is None, "Locust ended"
            yield running
        finally:
            process.terminate()
