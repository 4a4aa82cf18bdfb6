"""The configuration for HAProxy works as it stands, with a real HAProxy in front of two real servers."""

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

from server.protocol.frames import masked_text_frame
from server.settings import Settings
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
MOST_HIDDEN = 2_000_000  # 1.0 MB here; 4.4 MB where the balancer's buffers are left alone
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


def hear(client: ChatClient, kind: str) -> dict[str, object]:
    while (message := client.receive())["type"] != kind:
        pass
    return message


def connections(server: ServerProcess) -> float:
    return server.samples()["chat_connections"]


@pytest.mark.parametrize(
    "environment", [{"BALANCER_SERVER_1": "10.0.0.5:8080"}, {"BALANCER_SERVERS": "server:8080"}], ids=["list", "name"]
)
def test_haproxy_finds_it_good(environment: dict[str, str]) -> None:
    command = [haproxy(), "-c", "-f", str(CONFIGURATION)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("is_there", [True, False], ids=["server up", "server gone"])
def test_no_line_of_the_log_has_a_token(tmp_path: Path, *, is_there: bool) -> None:
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
    lines = (tmp_path / "log").read_text()
    assert "GET /ws/chat HTTP/1.1" in lines
    assert "GET /nowhere HTTP/1.1" in lines
    assert "SECRET" not in lines


def test_a_tunnel_may_be_quiet_for_longer_than_two_heartbeats() -> None:
    (seconds,) = (
        int(line.split()[2].removesuffix("s"))
        for line in CONFIGURATION.read_text().splitlines()
        if "timeout tunnel" in line
    )
    assert seconds > 2 * Settings().heartbeat_interval


def test_clients_are_dealt_out_and_chat_across_servers(front: Balancer, servers: Two) -> None:
    data = bytes(range(256)) * 1000
    with enter(front.url, "ann") as ann, enter(front.url, "bob") as bob:
        assert [connections(server) for server in servers] == [1, 1]
        ann.send("chatMessage", text="hello")
        assert hear(bob, "chatMessage")["text"] == "hello"
        ann.send("fileStart", name="n", size=len(data))
        hear(ann, "fileReady")
        for index, start in enumerate(range(0, len(data), CHUNK)):
            ann.send_raw(index.to_bytes(4) + data[start : start + CHUNK])
        ann.send("fileEnd")
        assert hear(ann, "fileSaved")["sha256"] == hashlib.sha256(data).hexdigest()
        assert hear(bob, "fileShared")["size"] == len(data)
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
    """Whether its drain has begun; not by a handshake, which might be let in and then be told to go, too."""
    try:
        return status(f"{server.http}/health") == 503
    except OSError:  # on a busy machine the drain may be over before we look
        return True


def test_a_server_that_drains_is_left_by_its_own_clients_alone(front: Balancer, servers: Two) -> None:
    with enter(front.url, "ann") as ann:
        stays, goes = servers if connections(servers[0]) else servers[::-1]
        with enter(front.url, "bob") as bob:
            opened = stays.samples()[OPENED]
            goes.process.send_signal(signal.SIGTERM)
            wait_until(lambda: drains(goes), "the drain to begin")
            for number in range(NEWCOMERS):  # at once, before a health check can have told: nobody is turned away
                with enter(front.url, f"new {number}") as newcomer:
                    newcomer.send("chatMessage", text=f"from {number}")
                    assert hear(ann, "chatMessage")["text"] == f"from {number}"
            assert stays.samples()[OPENED] == opened + NEWCOMERS
            with pytest.raises(ConnectionClosedError) as told:
                hear(bob, "nothing")
            assert told.value.rcvd is not None
            assert (told.value.rcvd.code, told.value.rcvd.reason) == (1012, "restart retry_ms=500")
        goes.finish()
        ann.until_pong()


def test_a_server_that_dies_is_left_too_and_taken_back(servers: Two, nats: Nats) -> None:
    flags = ["--nats", nats.url, "--port", str(free_port())]  # no connection is given that port meanwhile
    other, dies = servers[0], launch(*flags)
    with balancer(address(other), address(dies)) as front:
        dies.kill()
        for number in range(NEWCOMERS):
            with enter(front.url, f"new {number}"):
                pass
        wait_until(lambda: not front.is_up(2), "the dead server to be left")
        with launch(*flags):
            wait_until(lambda: front.is_up(2), "the server to be taken back")


def test_clients_are_counted_under_their_own_address_which_they_cannot_choose() -> None:
    flags = ["--trusted-proxy", "127.0.0.1", "--max-connections-per-address", "1"]
    with launch(*flags) as server, balancer(address(server)) as front, open_handshake(front.url) as inside:
        assert inside.status == 101
        refused = handshake(front.url, **{"X-Forwarded-For": "192.0.2.7"})
        assert (refused.status, refused.headers["retry-after"]) == (429, "5")


def test_a_server_that_is_full_has_its_clients_taken_by_another() -> None:
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


def test_without_a_bus_newcomers_still_get_in() -> None:
    nats = Nats()
    with launch("--nats", nats.url) as server, balancer(address(server)) as front:
        nats.kill()
        wait_until(lambda: not front.is_up(1), "the server to be unwell")
        with enter(front.url, "ann") as ann:
            ann.until_pong()
        assert status(front.http + "/health") == 503


def test_clients_may_speak_tls_to_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(authority.certificate.read_bytes() + authority.key.read_bytes())
    with launch() as server, balancer(address(server), BALANCER_CERTIFICATE=str(both)) as front:
        url = front.url.replace("ws://", "wss://")
        with connect(url, ssl=authority.trust, open_timeout=SECONDS, close_timeout=SECONDS) as client:
            assert json.loads(client.recv(timeout=SECONDS))["type"] == "connected"
            assert isinstance(client.socket, ssl.SSLSocket)


def test_a_client_that_does_not_read_is_soon_known_to_be_slow() -> None:
    """What the balancer and the kernel hold for a client hides from the server how far it lags: it is to be little."""
    with (
        launch("--message-rate", "0") as server,
        balancer(address(server)) as front,
        enter(front.url, "ann") as ann,
        closing(RawClient(front.url)) as lazy,
    ):
        lazy.send(JOIN)
        hear(ann, "userJoined")
        sent = 0
        while server.samples()["chat_slow_consumers"] == 0:
            ann.send("chatMessage", text="x" * 16_000)
            ann.until_pong()
            sent += 16_000
            assert sent < MOST_HIDDEN
