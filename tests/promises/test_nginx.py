"""The committed configuration works in a real nginx in front of a real server."""

from __future__ import annotations

import hashlib
import json
import signal
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.ports import free_port
from tests.promises.certificates import Authority
from tests.promises.nginx_process import nginx
from tests.promises.server_process import launch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.promises.server_process import ServerProcess

SECONDS = 60
CHUNK = 65536


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    tmp_path.chmod(0o755)
    return Authority(tmp_path)


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with launch("--trusted-proxy", "127.0.0.1", "--max-connections-per-address", "2") as running:
        yield running


@pytest.fixture
def port(authority: Authority, server: ServerProcess) -> Iterator[int]:
    with nginx(authority.certificate.parent, server.url.removeprefix("ws://")) as running:
        yield running.port


def through(port: int, authority: Authority, **headers: str) -> ClientConnection:
    return connect(
        f"wss://127.0.0.1:{port}/ws/chat",
        ssl=authority.trust_of_threads,
        additional_headers=headers,
        open_timeout=SECONDS,
        close_timeout=SECONDS,
        ping_interval=None,
    )


def receive(client: ClientConnection, kind: str) -> dict[str, object]:
    while True:
        message: dict[str, object] = json.loads(client.recv(timeout=SECONDS))
        if message["type"] == kind:
            return message


def status(port: int, authority: Authority, path: str) -> int:
    try:
        with urllib.request.urlopen(
            f"https://127.0.0.1:{port}{path}", context=authority.trust, timeout=SECONDS
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code)


def test_chat_uploads_and_pages_are_forwarded(port: int, authority: Authority) -> None:
    data = bytes(range(256)) * 1000
    with through(port, authority) as ann, through(port, authority) as bob:
        for client in (ann, bob):
            client.send('{"type":"joinRoom","room":"r"}')
            receive(client, "roomJoined")
        ann.send('{"type":"chatMessage","text":"hello"}')
        assert receive(bob, "chatMessage")["text"] == "hello"
        ann.send(json.dumps({"type": "fileStart", "name": "n", "size": len(data)}))
        receive(ann, "fileReady")
        for index, start in enumerate(range(0, len(data), CHUNK)):
            ann.send(index.to_bytes(4) + data[start : start + CHUNK])
        ann.send('{"type":"fileEnd"}')
        assert receive(ann, "fileSaved")["sha256"] == hashlib.sha256(data).hexdigest()
        assert receive(bob, "fileShared")["size"] == len(data)
    paths = {"/": 200, "/health": 200, "/metrics": 404, "/ws/echo": 404, "/nothing": 404}
    assert {path: status(port, authority, path) for path in paths} == paths


def test_limits_apply_to_the_client_s_own_address_which_it_cannot_choose(port: int, authority: Authority) -> None:
    with through(port, authority), through(port, authority, **{"X-Forwarded-For": "192.0.2.7"}):
        with pytest.raises(InvalidStatus) as refused:
            through(port, authority, **{"X-Forwarded-For": "192.0.2.8"}).__enter__()
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["Retry-After"] == "5"


def test_the_close_frame_of_a_drain_is_forwarded(port: int, authority: Authority, server: ServerProcess) -> None:
    with through(port, authority) as client:
        receive(client, "connected")
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv(timeout=SECONDS)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1012, "restart retry_ms=500")
    server.finish()


@pytest.mark.parametrize("is_there", [True, False], ids=["server up", "server down"])
def test_no_log_contains_a_token(authority: Authority, server: ServerProcess, *, is_there: bool) -> None:
    folder = authority.certificate.parent
    backend = server.url.removeprefix("ws://") if is_there else f"127.0.0.1:{free_port()}"
    with nginx(folder, backend) as running:
        url = f"127.0.0.1:{running.port}/ws/chat?token=SECRET"
        with (
            suppress(InvalidStatus),
            connect(f"wss://{url}", ssl=authority.trust_of_threads, open_timeout=SECONDS) as client,
        ):
            receive(client, "connected")
        request = urllib.request.Request(f"https://{url}", headers={"Referer": f"https://{url}"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request, context=authority.trust, timeout=SECONDS)  # noqa: S310
    logs = {file.name: file.read_text() for file in folder.glob("*.log")}
    assert logs["stampede.log"].count("GET /ws/chat HTTP/1.1") == 2
    assert not [name for name, text in logs.items() if "SECRET" in text]
