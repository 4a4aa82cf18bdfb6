"""Chat, uploads and pages over TLS, and the reload of certificates."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import urllib.request
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.processes import run_server
from tests.promises.certificates import Authority
from tests.promises.server_process import launch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.promises.server_process import ServerProcess

SECONDS = 60
CHUNK = 65536


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Iterator[ServerProcess]:
    with launch(*authority.flags) as running:
        yield running


def secure(server: ServerProcess, authority: Authority, path: str = "/ws/chat") -> ClientConnection:
    return connect(
        server.url + path,
        ssl=authority.trust_of_threads,
        open_timeout=SECONDS,
        close_timeout=SECONDS,
        ping_interval=None,
    )


def ask(client: ClientConnection, until: str, **fields: object) -> dict[str, object]:
    client.send(json.dumps(fields))
    return receive(client, until)


def receive(client: ClientConnection, kind: str) -> dict[str, object]:
    while True:
        message: dict[str, object] = json.loads(client.recv(timeout=SECONDS))
        if message["type"] == kind:
            return message


def serial(server: ServerProcess, authority: Authority) -> str:
    """Return the serial number of the certificate that a new connection gets."""
    host, port = server.url.removeprefix("wss://").rsplit(":", 1)
    with (
        socket.create_connection((host, int(port)), timeout=SECONDS) as plain,
        authority.trust.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        certificate = wrapped.getpeercert()
        assert certificate
        return str(certificate["serialNumber"])


def page(server: ServerProcess, authority: Authority, path: str) -> bytes:
    url = server.url.replace("wss://", "https://") + path
    with urllib.request.urlopen(url, context=authority.trust, timeout=SECONDS) as answer:  # noqa: S310 - our own server
        assert answer.status == 200
        return bytes(answer.read())


def test_chat_uploads_and_pages_work_over_tls(server: ServerProcess, authority: Authority) -> None:
    assert server.url.startswith("wss://")
    assert page(server, authority, "/health") == b"OK"
    assert page(server, authority, "/chat.js")
    data = bytes(range(256)) * 1000
    with secure(server, authority) as ann, secure(server, authority) as bob:
        for client in (ann, bob):
            ask(client, "roomJoined", type="joinRoom", room="r")
        ann.send(json.dumps({"type": "chatMessage", "text": "x" * 16_000}))
        assert receive(bob, "chatMessage")["text"] == "x" * 16_000
        ask(ann, "fileReady", type="fileStart", name="n", size=len(data))
        for index, start in enumerate(range(0, len(data), CHUNK)):
            ann.send(index.to_bytes(4) + data[start : start + CHUNK])
        assert ask(ann, "fileSaved", type="fileEnd")["sha256"] == hashlib.sha256(data).hexdigest()
        assert receive(bob, "fileShared")["size"] == len(data)


def test_close_codes_and_refusals_arrive_over_tls(server: ServerProcess, authority: Authority) -> None:
    with secure(server, authority, "/ws/echo") as client:
        with pytest.raises(ConnectionClosedError) as caught:  # noqa: PT012 - either call may raise
            client.send(b"x" * (1024 * 1024 + 1))
            client.recv(timeout=SECONDS)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009
    with pytest.raises(InvalidStatus) as refused:
        secure(server, authority, "/ws/nothing")
    assert refused.value.response.status_code == 404
    assert b"no WebSockets" in refused.value.response.body


def test_a_client_without_tls_is_closed_and_affects_no_other(server: ServerProcess, authority: Authority) -> None:
    host, port = server.url.removeprefix("wss://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=SECONDS) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        while plain.recv(4096):
            pass
    assert page(server, authority, "/health") == b"OK"


def test_a_new_certificate_is_loaded_and_connections_stay_open(server: ServerProcess, authority: Authority) -> None:
    with secure(server, authority) as client:
        old = serial(server, authority)
        authority.issue()
        assert serial(server, authority) == old
        server.process.send_signal(signal.SIGHUP)
        server.wait_until(lambda: serial(server, authority) != old, "the new certificate")
        assert ask(client, "pong", type="ping")
    assert server.stop().count("certificate reloaded") == 1


def test_unusable_certificate_files_change_nothing_and_are_logged(server: ServerProcess, authority: Authority) -> None:
    with secure(server, authority) as client:
        old = serial(server, authority)
        authority.certificate.write_text("no certificate")
        server.process.send_signal(signal.SIGHUP)
        server.wait_until(lambda: "certificate not reloaded" in server.log, "a line in the log")
        assert serial(server, authority) == old
        authority.key.unlink()
        server.process.send_signal(signal.SIGHUP)
        server.wait_until(lambda: server.log.count("certificate not reloaded") == 2, "another line")
        assert ask(client, "pong", type="ping")
        assert serial(server, authority) == old
    server.stop(expects_errors=True)


def test_a_drain_sends_close_frames_over_tls(server: ServerProcess, authority: Authority) -> None:
    with secure(server, authority) as client:
        receive(client, "connected")
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv(timeout=SECONDS)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012
    server.finish()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_unusable_certificate_files_at_startup_end_in_one_clear_line(authority: Authority, content: str | None) -> None:
    if content is None:
        authority.certificate.unlink()
    else:
        authority.certificate.write_text(content)
    done = run_server(*authority.flags)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(authority.certificate) in done.stderr
