"""Connections over TLS."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from stampede.websocket.connect import connect
from stampede.websocket.errors import TlsError
from stampede.websocket.target import resolve
from tests.stampede.connections import TIMEOUT, RecordingReceiver, open_at, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stampede.websocket.reactor import Reactor

TLS_ECHO = """
import asyncio, ssl, sys
from websockets.asyncio.server import serve

async def echo(client):
    async for message in client:
        await client.send(message)

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    async with serve(echo, "127.0.0.1", 0, ssl=context, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
"""


@pytest.fixture
def tls_echo(certificate: Path) -> Iterator[str]:
    command = [sys.executable, "-c", TLS_ECHO, str(certificate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"wss://127.0.0.1:{process.stdout.readline().strip()}/"
        process.kill()


def test_encrypted_connections_work_without_verification(reactor: Reactor, tls_echo: str) -> None:
    receiver = RecordingReceiver()
    connection = connect(reactor, resolve(tls_echo, verify=False), receiver, timeout=TIMEOUT)
    sent = [b"short", b"x" * 300_000, b"end"]
    for message in sent:
        until(partial(connection.send_message, message))
    until(lambda: len(receiver.messages) == len(sent))
    assert receiver.messages == sent
    assert connection.close(TIMEOUT)


def test_an_untrusted_certificate_is_refused_with_its_own_label(reactor: Reactor, tls_echo: str) -> None:
    with pytest.raises(TlsError, match="certificate not trusted: self"):
        open_at(reactor, tls_echo)
    assert len(reactor) == 0


def test_plain_bytes_in_place_of_tls_are_a_tls_error(reactor: Reactor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(4096)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(TlsError, match="TLS handshake failed"):
            open_at(reactor, f"wss://127.0.0.1:{listening.getsockname()[1]}/")
        thread.join()


def test_a_certificate_of_a_given_authority_is_trusted(
    reactor: Reactor, tls_echo: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    target = resolve(tls_echo)
    assert target.tls is not None
    assert target.tls.verify_mode is ssl.CERT_REQUIRED
    assert connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT).close(TIMEOUT)
