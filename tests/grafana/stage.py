"""A short life of a chat server before a real Prometheus: a mixed Locust run with storms, and guests who misbehave.

Clients that do not answer pings, that stop reading, that flood, that speak nonsense or knock at the wrong door give
every metric something to count; at the end the server is drained under load.
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
SLEEPERS: Final = 4
SPEAKERS: Final = 3
TEXT_BYTES: Final = 8000
DRAIN_SECONDS: Final = 8
NEIGHBOURS: Final = "the neighbours' room"
# More than half of the pool storms, and the door lets in few at a time: a storm is seen for some seconds.
WEIGHTS: Final = (("ReconnectStormUser", 28), ("FileUploadUser", 2))
SERVER_FLAGS: Final = (
    *("--heartbeat-interval", "1", "--heartbeat-timeout", "5", "--drain-seconds", str(DRAIN_SECONDS)),
    *("--max-connections", "160", "--message-rate", "60", "--handshake-rate", "20"),
    *("--buffer-soft-limit", "65536", "--buffer-hard-limit", "16777216", "--slow-timeout", "3"),
)
LOCUST_FLAGS: Final = (
    *("--rooms", "6", "--message-rate", "2", "--upload-bytes", "1m-4m", "--storm-share", "0.9"),
    *("--storm-period", "12", "--loglevel", "WARNING"),
)


@dataclass(frozen=True, slots=True)
class Recording:
    """What Prometheus saw; times in Unix seconds.

    Attributes:
        start: before the first user came.
        live: the server still ran, after all that happened.
        end: the server has been drained and is gone.
    """

    prometheus: Prometheus
    start: float
    live: float
    end: float


@contextmanager
def recorded(folder: Path, *, quiet_seconds: float = 3.0) -> Iterator[Recording]:
    """Play the whole life and yield what was recorded; `quiet_seconds` is how long it is calm between events."""
    nats = Nats()
    server = start_server("--nats", nats.url, "--upload-dir", str(folder / "uploads"), *SERVER_FLAGS)
    try:
        with (
            _neighbour(nats.url, server.url) as parent,
            _locust(server.url) as locust,
            configured(_configuration(folder, (server.http, parent), locust), folder / "data") as url,
            RawClientPool(server.url) as pool,
        ):
            prometheus = Prometheus(url, ("chat", "chat", "loadtest"))  # two servers: the other is the neighbours'
            prometheus.wait_for_scrape()
            start = time.time()
            pool.run(2)
            locust.tell("/swarm", user_count=USERS, spawn_rate=20)
            _Guests(server, pool, prometheus, locust).come_and_go(quiet_seconds)
            prometheus.wait_for_scrape()
            live = time.time()
            server.stopped = True
            server.process.send_signal(signal.SIGTERM)
            pool.until(lambda: server.process.poll() is not None, "the server to be drained")
            assert server.process.returncode == 0
            locust.tell("/stop")
            wait_until(lambda: prometheus.query('up{job="chat"} == 0') != {}, "Prometheus to miss the server")
            yield Recording(prometheus, start, live, time.time())
    finally:
        server.kill()
        nats.kill()


@contextmanager
def _neighbour(nats: str, url: str) -> Iterator[str]:
    """Run two more server processes on the bus, in which somebody talks to a guest of the first; yield their parent."""
    other = start_server("--nats", nats, "--drain-seconds", "0", "--workers", "2", "--metrics-port", "0")
    quiet = threading.Event()
    try:
        with ChatClient(url) as listener, ChatClient(other.url) as talker:
            for client in (listener, talker):
                client.send("joinRoom", room=NEIGHBOURS)
            listening = threading.Thread(target=_listen, args=(listener,), daemon=True)
            talking = threading.Thread(target=_talk, args=(talker, quiet))
            for thread in (listening, talking):
                thread.start()
            yield other.first_lines[1].split()[-1]
            quiet.set()
            talking.join()
    finally:
        quiet.set()
        other.kill()


def _talk(client: ChatClient, quiet: threading.Event) -> None:
    while not quiet.wait(0.25):
        client.send("chatMessage", text="is anybody there")


def _listen(client: ChatClient) -> None:
    """Read what comes until the server is gone."""
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


class _Guests:
    """Clients beside the pool, each kind with a fault of its own."""

    def __init__(self, server: RunningServer, pool: RawClientPool, prometheus: Prometheus, locust: Generator) -> None:
        self._server = server
        self._pool = pool
        self._prometheus = prometheus
        self._locust = locust

    def come_and_go(self, quiet_seconds: float) -> None:
        """Return when everything has happened, and Prometheus has seen it."""
        pool = self._pool
        self._until("chat_connections", USERS * 0.9)
        pool.run(quiet_seconds)
        silent = self._let_in(SILENT)
        for client in silent:
            pool.stop_reading(client)
        self._annoy()
        pool.run(quiet_seconds)
        self._locust.tell("/stampede/storm", share=0.5)
        self._stop_reading_in_a_busy_room()
        self._until('loadtest_storm_resync_seconds{share="0.5"}', 0)
        self._until("chat_heartbeat_kills_total", SILENT)
        self._until('chat_uploads_total{outcome="saved"}', 1)
        self._until("loadtest_resync_duration_seconds_count", 1)
        pool.run(quiet_seconds)

    def _annoy(self) -> None:
        """Knock at the wrong door, speak nonsense, flood, begin an upload and go no further."""
        pool = self._pool
        pool.add(b"GET /nowhere HTTP/1.1\r\nHost: stampede.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")  # fmt: skip
        self._server.get("/health")
        odd, flooding, stalling = self._let_in(3)
        pool.enter([flooding, stalling], ["the flooded room"])
        pool.send(stalling, message("fileStart", name="never finished", size=1_000_000))
        pool.send(odd, frame(b"nonsense") + message("noSuchType"))
        pool.send(flooding, b"".join(message("chatMessage", text=str(number)) for number in range(200)))

    def _let_in(self, count: int, *, receive_buffer: int = 0) -> list[Client]:
        """Knock until so many are let in: in a storm the door is closed for most."""
        pool = self._pool
        inside: list[Client] = []
        while len(inside) < count:
            client = pool.add(receive_buffer=receive_buffer)
            pool.until(lambda client=client: client.status or client.ended, "an answer")  # type: ignore[misc] # bound
            if client.is_open:
                inside.append(client)
            else:
                pool.drop([client])
                pool.run(0.2)
        return inside

    def _stop_reading_in_a_busy_room(self) -> None:
        """Be slow for some seconds, again if no scrape of a busy machine has fallen into them."""
        for tries in range(1, 6):
            self._sleep_until_given_up(tries * SLEEPERS)
            if self._value("max_over_time(chat_slow_consumers[5m])") >= SLEEPERS:
                return
        raise AssertionError("no scrape has seen the sleepers")

    def _sleep_until_given_up(self, kills: int) -> None:
        pool = self._pool
        speakers, sleepers = self._let_in(SPEAKERS), self._let_in(SLEEPERS, receive_buffer=16384)
        pool.enter([*speakers, *sleepers], ["the busy room"])
        for client in sleepers:
            pool.stop_reading(client)
        due = 0.0

        def speak(now: float) -> None:
            nonlocal due
            if now >= due:
                due += 0.1
                _speak(pool, speakers, sleepers)

        deadline = time.monotonic() + 90
        while self._value("chat_slow_consumer_kills_total") < kills:
            assert time.monotonic() < deadline, "sleepers were not dropped"
            due = 0.0
            pool.run(0.5, speak)
        pool.drop(speakers)

    def _value(self, metric: str) -> float:
        return max(self._prometheus.query(metric).values(), default=-1.0)

    def _until(self, metric: str, least: float) -> None:
        """Go on until Prometheus has seen so much; ask twice a second at most."""
        asked = [0.0, False]

        def seen() -> bool:
            if time.monotonic() - asked[0] > 0.5:
                asked[:] = time.monotonic(), self._value(metric) >= least
            return bool(asked[1])

        self._pool.until(seen, f"{metric} to reach {least}")


def _speak(pool: RawClientPool, speakers: list[Client], sleepers: list[Client]) -> None:
    """Say so much that who does not read falls behind; sleepers send a little, or the heartbeat would drop them."""
    for speaker in speakers:
        for _ in range(4):
            pool.send(speaker, message("chatMessage", text="." * TEXT_BYTES))
        pool.send(speaker, message("typing", isTyping=True))
    for sleeper in sleepers:
        pool.send(sleeper, message("ping"))


@contextmanager
def _locust(host: str) -> Iterator[Generator]:
    """Run every kind of user on command, in one process; its log goes with it."""
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
