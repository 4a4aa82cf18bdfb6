"""Shared files are served to those who may have them, are never run by a browser, and do not delay the chat."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import time
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING

import jwt
import pytest

from server.http.files import UNKNOWN_TYPE
from server.uploads.downloads import MAX_DOWNLOADS_PER_ADDRESS
from tests.clients import SECONDS, ChatClient
from tests.metrics.fixtures import wait_until
from tests.promises.certificates import Authority
from tests.promises.server_process import launch
from tests.server.http.raw_requests import exchange, fields, status
from tests.server.uploads.uploading import FILE_ID, upload
from tests.server.uploads.uploading import store as stored_directly

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer

LARGE = 25 * 1024 * 1024
SECRET = "a secret of at least 32 bytes for HS256"


def store(server: RunningServer, name: str, data: bytes, mime_type: str = "text/plain", query: str = "") -> str:
    """Upload a file and return its path."""
    with ChatClient(server.url, f"/ws/chat{query}") as client:
        client.expect("connected")
        return f"/files/{upload(client, name, data, mime_type=mime_type)['uploadId']}"


def get(server: RunningServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    answer = exchange(server, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    return int(answer.split(b" ", 2)[1]), dict(fields(answer)), answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("name", "mime_type", "served", "kind"),
    [
        ("a.png", "image/png", "image/png", "inline"),
        ("notes.txt", "text/plain", "text/plain; charset=utf-8", "inline"),
        ("<img src=x>.html", "text/html", UNKNOWN_TYPE, "attachment"),
        ("picture.svg", "image/svg+xml", UNKNOWN_TYPE, "attachment"),
        ("a.pdf", "application/pdf", UNKNOWN_TYPE, "attachment"),
    ],
)
def test_a_file_is_served_unchanged_and_cannot_run(
    shared: RunningServer, name: str, mime_type: str, served: str, kind: str
) -> None:
    data = b"<script>alert(1)</script>" + os.urandom(100_000)
    path = store(shared, name, data, mime_type)
    code, headers, body = get(shared, path)
    assert (code, body) == (200, data)
    assert (headers["content-type"], headers["content-length"]) == (served, str(len(data)))
    assert headers["content-disposition"].startswith(f"{kind}; filename=")
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    head = get(shared, path, "HEAD")
    assert (head[0], head[1]["content-length"], head[2]) == (200, str(len(data)), b"")
    assert get(shared, path, "OPTIONS")[0] == 204
    assert get(shared, path, "PUT")[0] == 405


@pytest.mark.parametrize("size", [0, 1, 65536, LARGE])
def test_files_of_any_size_are_served_whole(shared: RunningServer, size: int) -> None:
    data = os.urandom(size)
    with urllib.request.urlopen(shared.http + store(shared, "f", data), timeout=SECONDS) as answer:  # noqa: S310
        assert answer.read() == data


@pytest.mark.parametrize(
    "path",
    [
        "/files/{id}.json",
        "/files/{id}/",
        "/files/../files/{id}",
        "/files/%2e%2e/uploads/{id}",
        "/files/..%2f..%2fetc%2fpasswd",
        "/files/%00{id}",
        "/files//etc/passwd",
        "/uploads/{id}",
        "/files/" + "0" * 32,
    ],
)
def test_nothing_but_a_stored_file_is_served(shared: RunningServer, path: str) -> None:
    file_id = store(shared, "f", b"data").rpartition("/")[2]
    code, _, body = get(shared, path.format(id=file_id))
    assert code == 404
    assert b"data" not in body
    assert b"root:" not in body


def test_an_expired_file_is_not_served_even_before_it_is_removed(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    server = start("--upload-keep", "7200")
    path = store(server, "f", b"data")
    stored = tmp_path / "uploads" / path.rpartition("/")[2]
    assert get(server, path)[2] == b"data"
    os.utime(stored, (time.time() - 7201,) * 2)
    code, headers, body = get(server, path)
    assert (code, headers["cache-control"]) == (404, "no-store")
    assert body == b"There is no such file. It may have expired: this server keeps files for 2 hours.\n"
    assert stored.exists()
    os.utime(stored, (time.time() - 7100,) * 2)
    assert get(server, path)[1]["cache-control"] in {f"private, max-age={left}" for left in range(101)}


def test_files_need_the_token_and_the_origin_of_the_chat(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    server = start("--jwt-secret-file", str(tmp_path / "secret"), "--allowed-origin", "https://chat.example")
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    token = jwt.encode({"sub": "ann", "exp": later}, SECRET, algorithm="HS256")
    path = store(server, "f", b"data", query=f"?token={token}")
    code, headers, body = get(server, path)
    assert (code, body, headers["www-authenticate"]) == (401, b"A token is needed\n", "Bearer")
    assert get(server, f"{path}?token=x")[0] == 401
    assert get(server, f"{path}?token={token}")[2] == b"data"
    assert get(server, path, Authorization=f"Bearer {token}")[2] == b"data"
    assert get(server, f"{path}?token={token}", Origin="https://chat.example")[0] == 200
    assert get(server, f"{path}?token={token}", Origin="https://evil.example")[0] == 403
    samples = server.samples()
    assert [samples[f'chat_http_requests_total{{code="{code}",path="/files"}}'] for code in (200, 401, 403)] == [
        3,
        2,
        1,
    ]


def test_the_metrics_port_serves_no_files(start: Callable[..., RunningServer]) -> None:
    server = start("--metrics-port", "0")
    path = store(server, "f", b"data")
    server.url = f"ws://{server.first_lines[1].split('http://')[1].split('/')[0]}"
    assert status(server, f"GET {path} HTTP/1.1\r\n\r\n".encode()) == 404


def test_files_are_served_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    data = os.urandom(LARGE // 5)
    stored_directly(tmp_path / "uploads", data)
    with launch(*authority.flags, "--upload-dir", str(tmp_path / "uploads")) as server:
        url = f"{server.url.replace('wss', 'https')}/files/{FILE_ID}"
        for _ in range(3):
            with urllib.request.urlopen(url, context=authority.trust, timeout=SECONDS) as answer:  # noqa: S310
                assert answer.read() == data


def test_a_file_that_cannot_be_read_is_not_served_as_whole(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    server = start()
    path = store(server, "f", os.urandom(LARGE))
    stored = tmp_path / "uploads" / path.rpartition("/")[2]
    host, port = server.http.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=SECONDS) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        reader.recv(16)
        os.truncate(stored, 0)
        received = 16
        with contextlib.suppress(ConnectionResetError):
            while data := reader.recv(1 << 20):
                received += len(data)
    assert received < LARGE
    stored.with_suffix(".json").unlink()
    stored.with_suffix(".json").mkdir()
    assert get(server, path)[::2] == (503, b"The file cannot be read now\n")
    assert server.samples()['chat_downloads_total{outcome="failed"}'] == 2
    assert server.stop(expects_errors=True).count("download failed") == 2


def test_clients_that_do_not_read_are_limited_and_delay_nobody(server: RunningServer) -> None:
    path = store(server, "f", os.urandom(LARGE))
    before = server.samples()["process_resident_memory_bytes"]
    host, port = server.http.removeprefix("http://").rsplit(":", 1)
    with ExitStack() as idle, ChatClient(server.url) as ann, ChatClient(server.url) as bob:
        for _ in range(MAX_DOWNLOADS_PER_ADDRESS):
            reader = idle.enter_context(socket.create_connection((host, int(port)), timeout=SECONDS))
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
            assert reader.recv(16).startswith(b"HTTP/1.1 200")
        code, headers, _ = get(server, path)
        assert (code, headers["retry-after"]) == (503, "5")
        for client in (ann, bob):
            client.send("joinRoom", room="r")
            client.until_pong()
        for number in range(40):
            ann.send("chatMessage", text=str(number))
        ann.until_pong()
        samples = server.samples()
        assert samples["chat_downloads_active"] == MAX_DOWNLOADS_PER_ADDRESS
        assert samples['chat_downloads_total{outcome="limit"}'] == 1
        grown = samples["process_resident_memory_bytes"] - before
        assert grown < MAX_DOWNLOADS_PER_ADDRESS * LARGE / 8, "the server buffers whole files"
    wait_until(lambda: server.samples()["chat_downloads_active"] == 0, "the downloads to end")
    assert server.samples()['chat_downloads_total{outcome="vanished"}'] == MAX_DOWNLOADS_PER_ADDRESS
    assert get(server, path)[0] == 200
