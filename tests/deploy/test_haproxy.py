"""The committed configuration works in a real HAProxy in front of two real servers."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import ssl
import subprocess
import urllib.error
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from server.settings import Settings
from stampede.websocket.frames import masked_text_frame
from tests.clients import SECONDS, ChatClient, RawClient, handshake, open_handshake
from tests.deploy.conftest import CONFIGURATION, Balancer, balancer, fetch, haproxy
from tests.metrics.fixtures import wait_until
from tests.ports import free_port
from tests.promises.certificates import Authority
from tests.promises.server_process import ServerProcess, launch
from tests.server.cluster.fixtures import Nats

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Two = tuple[ServerProcess, ServerProcess]
CHUNK = 65536
NEWCOMERS = 20
MAX_HIDDEN_BYTES = 2_000_000  # measured: 1.0 MB; 4.4 MB with the balancer's default buffers
JOIN = masked_text_frame(b'{"type":"joinRoom","room":"r"}', b"mask")
OPENED = "chat_connections_opened_total"


def address(server: ServerProcess) -> str:
    return server.url.removeprefix("ws://")


@pytest.fixture
def front(servers: Two) -> Iterator[Balancer]:
    with balancer(*map(address, servers)) as running:
        yield running


def enter(url: str, name: str) -> ChatClient:
    client = ChatClient(url)
    client.expect("connected")
    client.send("setUsername", username=name)
    client.expect("usernameSet")
    client.send("joinRoom", room="r")
    while client.receive()["type"] != "roomJoined":
        pass
    return client


def receive(client: ChatClient, kind: str) -> dict[str, object]:
    while (message := client.receive())["type"] != kind:
        pass
    return message


def connections(server: ServerProcess) -> float:
    return server.samples()["chat_connections"]


@pytest.mark.parametrize(
    "environment", [{"BALANCER_SERVER_1": "10.0.0.5:8080"}, {"BALANCER_SERVERS": "server:8080"}], ids=["list", "name"]
)
def test_haproxy_accepts_the_configuration(environment: dict[str, str]) -> None:
    command = [haproxy(), "-c", "-f", str(CONFIGURATION)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("is_there", [True, False], ids=["server up", "server down"])
def test_the_log_contains_no_token(tmp_path: Path, *, is_there: bool) -> None:
    text = CONFIGURATION.read_text().replace("local0 notice", "local0 debug").replace("option dontlog-normal", "")
    (tmp_path / "haproxy.cfg").write_text(text)
    with launch() as server:
        backend = address(server) if is_there else f"127.0.0.1:{free_port()}"
        with (
            (tmp_path / "log").open("w") as log,
            balancer(backend, configuration=tmp_path / "haproxy.cfg", log=log) as front,
        ):
            assert handshake(front.url, "/ws/chat?token=SECRET").status == (101 if is_there else 503)
            assert status(f"{front.http}/nowhere?token=SECRET") == (404 if is_there else 503)
            # HAProxy may log a request after its answer, and a tunnel when it ends.
            requests = ("GET /ws/chat HTTP/1.1", "GET /nowhere HTTP/1.1")
            log_file = tmp_path / "log"
            wait_until(lambda: all(request in log_file.read_text() for request in requests), "a log line of each")
    lines = (tmp_path / "log").read_text()
    assert "SECRET" not in lines


def test_a_tunnel_may_be_silent_for_more_than_two_heartbeat_intervals() -> None:
    (seconds,) = (
        int(line.split()[2].removesuffix("s"))
        for line in CONFIGURATION.read_text().splitlines()
        if "timeout tunnel" in line
    )
    assert seconds > 2 * Settings().heartbeat_interval


def test_clients_are_distributed_and_chat_across_servers(front: Balancer, servers: Two) -> None:
    data = bytes(range(256)) * 1000
    with enter(front.url, "ann") as ann, enter(front.url, "bob") as bob:
        assert [connections(server) for server in servers] == [1, 1]
        ann.send("chatMessage", text="hello")
        assert receive(bob, "chatMessage")["text"] == "hello"
        ann.send("fileStart", name="n", size=len(data))
        receive(ann, "fileReady")
        for index, start in enumerate(range(0, len(data), CHUNK)):
            ann.send_raw(index.to_bytes(4) + data[start : start + CHUNK])
        ann.send("fileEnd")
        assert receive(ann, "fileSaved")["sha256"] == hashlib.sha256(data).hexdigest()
        assert receive(bob, "fileShared")["size"] == len(data)
    paths = {"/": 200, "/health": 200, "/metrics": 404, "/metrics?x=1": 404, "/ws/echo": 404, "/nothing": 404}
    assert {path: status(front.http + path) for path in paths} == paths
    assert handshake(front.url, "/ws/echo").status == 404


def status(url: str) -> int:
    try:
        fetch(url)
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code)
    return 200


def drains(server: ServerProcess) -> bool:
    """Return whether the drain has begun; a handshake might still be accepted, and closed later."""
    try:
        return status(f"{server.http}/health") == 503
    except OSError:  # the drain may be over already
        return True


def test_a_draining_server_closes_its_own_clients_only(front: Balancer, servers: Two) -> None:
    with enter(front.url, "ann") as ann:
        stays, goes = servers if connections(servers[0]) else servers[::-1]
        with enter(front.url, "bob") as bob:
            opened = stays.samples()[OPENED]
            goes.process.send_signal(signal.SIGTERM)
            wait_until(lambda: drains(goes), "the drain to begin")
            for number in range(NEWCOMERS):  # before a health check can detect it: none is refused
                with enter(front.url, f"new {number}") as newcomer:
                    newcomer.send("chatMessage", text=f"from {number}")
                    assert receive(ann, "chatMessage")["text"] == f"from {number}"
            assert stays.samples()[OPENED] == opened + NEWCOMERS
            with pytest.raises(ConnectionClosedError) as closed:
                receive(bob, "nothing")
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "restart retry_ms=500")
        goes.finish()
        ann.until_pong()


def test_a_dead_server_gets_no_clients_until_it_is_back(servers: Two, nats: Nats) -> None:
    flags = ["--nats", nats.url, "--port", str(free_port())]  # no outgoing connection can take the port meanwhile
    other, dies = servers[0], launch(*flags)
    with balancer(address(other), address(dies)) as front:
        dies.kill()
        for number in range(NEWCOMERS):
            with enter(front.url, f"new {number}"):
                pass
        wait_until(lambda: not front.is_up(2), "the balancer to notice the dead server")
        with launch(*flags):
            wait_until(lambda: front.is_up(2), "the balancer to use the server again")


def test_limits_apply_to_the_client_s_own_address_which_it_cannot_choose() -> None:
    flags = ["--trusted-proxy", "127.0.0.1", "--max-connections-per-address", "1"]
    with launch(*flags) as server, balancer(address(server)) as front, open_handshake(front.url) as inside:
        assert inside.status == 101
        refused = handshake(front.url, **{"X-Forwarded-For": "192.0.2.7"})
        assert (refused.status, refused.headers["retry-after"]) == (429, "5")


def test_clients_of_a_full_server_are_sent_to_another() -> None:
    with (
        launch("--max-connections", "1") as small,
        launch() as large,
        balancer(address(small), address(large)) as front,
        open_handshake(front.url),
        open_handshake(front.url),
        open_handshake(front.url) as third,
        open_handshake(front.url) as fourth,
    ):
        assert (third.status, fourth.status) == (101, 101)
        assert (connections(small), connections(large)) == (1, 3)


def test_new_clients_are_accepted_while_nats_is_down() -> None:
    nats = Nats()
    with launch("--nats", nats.url) as server, balancer(address(server)) as front:
        nats.kill()
        wait_until(lambda: not front.is_up(1), "the server to be unhealthy")
        with enter(front.url, "ann") as ann:
            ann.until_pong()
        assert status(front.http + "/health") == 503


def test_clients_can_connect_with_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(authority.certificate.read_bytes() + authority.key.read_bytes())
    with launch() as server, balancer(address(server), BALANCER_CERTIFICATE=str(both)) as front:
        url = front.url.replace("ws://", "wss://")
        with connect(url, ssl=authority.trust_of_threads, open_timeout=SECONDS, close_timeout=SECONDS) as client:
            assert json.loads(client.recv(timeout=SECONDS))["type"] == "connected"
            assert isinstance(client.socket, ssl.SSLSocket)


def test_a_slow_consumer_behind_the_balancer_is_detected() -> None:
    """Bytes buffered by the balancer and the kernel are hidden from the server, so they must be few."""
    with (
        launch("--message-rate", "0") as server,
        balancer(address(server)) as front,
        enter(front.url, "ann") as ann,
        closing(RawClient(front.url)) as lazy,
    ):
        lazy.send(JOIN)
        receive(ann, "userJoined")
        sent = 0
        while server.samples()["chat_slow_consumers"] == 0:
            ann.send("chatMessage", text="x" * 16_000)
            ann.until_pong()
            sent += 16_000
            assert sent < MAX_HIDDEN_BYTES
