"""Files are stored unchanged or not at all, under a safe name."""

from __future__ import annotations

import hashlib
import random
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from server.uploads.session import PROGRESS_SECONDS
from tests.clients import ChatClient
from tests.metrics.fixtures import wait_until
from tests.server.uploads.uploading import CHUNK, answer, chunks_of, files, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 25 * 1024 * 1024])
@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
def test_files_are_stored_unchanged_with_chunks_in_any_order(
    shared: RunningServer, shared_folder: Path, size: int, order: str
) -> None:
    data = random.Random(size).randbytes(size)
    chunks = chunks_of(data)
    if order == "descending":
        chunks.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(chunks)
    with ChatClient(shared.url) as client:
        client.expect("connected")
        saved = upload(client, "a name", data, chunks)
        assert saved == {
            "type": "fileSaved",
            "uploadId": saved["uploadId"],
            "name": "a name",
            "size": size,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    stored = shared_folder / str(saved["uploadId"])
    assert stored.read_bytes() == data
    assert msgspec.json.decode(stored.with_suffix(".json").read_bytes()) == {
        "name": "a name",
        "size": size,
        "mimeType": "text/x-test",
        "sha256": saved["sha256"],
    }


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "a/b", "", "x" * 10_000, "\x00\x07\n", "..", "C:\\x", "\u202egnp.exe", "🦬" * 100],
)
def test_a_client_s_file_name_is_only_metadata(shared: RunningServer, shared_folder: Path, name: str) -> None:
    before = files(shared_folder)
    with ChatClient(shared.url) as client:
        client.expect("connected")
        saved = upload(client, name, b"data")
    assert saved["name"] == name
    identity = str(saved["uploadId"])
    assert identity.isalnum()
    assert files(shared_folder) - before == {identity, f"{identity}.json"}
    assert {path.name for path in shared_folder.parent.iterdir()} == {"uploads"}


def test_a_stored_file_is_announced_to_the_room(server: RunningServer) -> None:
    with ChatClient(server.url) as ann, ChatClient(server.url) as bob:
        ann.send("setUsername", username="ann")
        for client in (ann, bob):
            client.send("joinRoom", room="r")
            client.until_pong()
        ann.until_pong()
        saved = upload(ann, "notes.txt", b"abc")
        shared = {
            "type": "fileShared",
            "user": "ann",
            "name": "notes.txt",
            "size": 3,
            "mimeType": "text/x-test",
            "uploadId": saved["uploadId"],
        }
        assert ann.receive() == shared
        assert bob.receive() == shared


def test_the_partial_file_of_a_lost_connection_is_removed(server: RunningServer, tmp_path: Path) -> None:
    client = ChatClient(server.url)
    client.send("fileStart", name="f", size=3 * CHUNK)
    client.send_raw(chunks_of(b"x" * CHUNK)[0])
    wait_until(lambda: len(files(tmp_path / "uploads")) == 1, "the file")
    client.abort()
    wait_until(lambda: server.samples()['chat_uploads_total{outcome="vanished"}'] == 1, "the server to notice")
    assert files(tmp_path / "uploads") == set()
    assert server.samples()["chat_uploads_active"] == 0


@pytest.mark.parametrize(
    "chunk",
    [
        b"",
        b"\0\0\0",
        (2).to_bytes(4) + b"x" * CHUNK,
        b"\xff\xff\xff\xff" + b"x" * CHUNK,
        (0).to_bytes(4) + b"x" * (CHUNK - 1),
        (1).to_bytes(4) + b"xx",
        (1).to_bytes(4),
    ],
    ids=["empty", "half an index", "out of range", "far out of range", "too short", "too long", "no data"],
)
def test_an_invalid_chunk_fails_its_upload_and_no_other(server: RunningServer, tmp_path: Path, chunk: bytes) -> None:
    with ChatClient(server.url) as client:
        client.expect("connected")
        client.send("fileStart", name="f", size=CHUNK + 1)
        client.expect("fileReady")
        client.send_raw(chunk)
        assert answer(client)["code"] == "upload_chunk"
        assert files(tmp_path / "uploads") == set()
        assert upload(client, "again", b"fine")["type"] == "fileSaved"


def test_a_repeated_chunk_fails_the_upload(server: RunningServer, tmp_path: Path) -> None:
    with ChatClient(server.url) as client:
        client.expect("connected")
        client.send("fileStart", name="f", size=2 * CHUNK)
        client.expect("fileReady")
        first = chunks_of(b"x" * CHUNK)[0]
        client.send_raw(first)
        client.send_raw(first)
        assert answer(client)["code"] == "upload_chunk"
        assert files(tmp_path / "uploads") == set()


def test_requests_out_of_order_are_answered_with_errors(server: RunningServer, tmp_path: Path) -> None:
    with ChatClient(server.url) as client:
        client.expect("connected")
        client.send("fileStart", name="f", size=2 * CHUNK)
        client.expect("fileReady")
        client.send_raw(chunks_of(b"x" * CHUNK)[0])
        client.send("fileEnd")
        assert answer(client)["code"] == "upload_incomplete"
        client.send("fileEnd")
        assert answer(client)["code"] == "upload_missing"
        client.send("fileStart", name="f", size=25 * 1024 * 1024 + 1)
        assert answer(client)["code"] == "upload_too_large"
        client.send("fileStart", name="f", size=10)
        client.expect("fileReady")
        client.send("fileStart", name="g", size=10)
        assert answer(client)["code"] == "upload_active"
        client.send("fileCancel")
        client.until_pong()
        client.send("fileCancel")
        assert answer(client)["code"] == "upload_missing"
        assert files(tmp_path / "uploads") == set()
    samples = server.samples()
    assert samples['chat_uploads_total{outcome="rejected"}'] == 2
    assert samples['chat_uploads_total{outcome="cancelled"}'] == 1


def test_partial_files_of_a_crashed_server_are_removed_at_the_next_start(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    first = start()
    client = ChatClient(first.url)
    client.expect("connected")
    saved = upload(client, "kept", b"data")
    client.send("fileStart", name="lost", size=3 * CHUNK)
    client.send_raw(chunks_of(b"x" * CHUNK)[0])
    wait_until(lambda: len(files(tmp_path / "uploads")) == 3, "the second file")
    first.kill()
    client.close()
    start()
    identity = str(saved["uploadId"])
    assert files(tmp_path / "uploads") == {identity, f"{identity}.json"}


def test_an_upload_to_an_unusable_folder_is_answered_with_an_error(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    server = start("--upload-dir", str(tmp_path / "blocked" / "uploads"))
    with ChatClient(server.url) as client:
        client.expect("connected")
        client.send("fileStart", name="f", size=1)
        assert answer(client)["code"] == "upload_storage"
    assert "Not a directory" in server.stop(expects_errors=True)


def test_progress_is_reported_at_most_four_times_a_second(server: RunningServer) -> None:
    data = b"x" * (10 * 1024 * 1024)
    with ChatClient(server.url) as client:
        client.expect("connected")
        began = server_time(client)
        client.send("fileStart", name="f", size=len(data))
        *most, last = chunks_of(data)
        for chunk in most:
            client.send_raw(chunk)
        while server_time(client) - began < 1200 * PROGRESS_SECONDS:
            time.sleep(0.05)
        client.send_raw(last)  # one report is due by now, even on a fast disk
        client.send("fileEnd")
        while client.receive()["type"] != "fileSaved":
            pass
        elapsed = (server_time(client) - began) / 1000
        told = [message for message in client.received if message["type"] == "fileProgress"]
        assert 1 <= len(told) <= elapsed / PROGRESS_SECONDS + 1
        received = [message["received"] for message in told]
        assert received == sorted(received)
        assert 0 < received[0] <= received[-1] <= len(data)
        assert all(message["size"] == len(data) for message in told)


def test_progress_is_reported_for_each_write_to_a_slow_disk(start: Callable[..., RunningServer]) -> None:
    server = start(program=("-m", "tests.disks", "slow", str(1.2 * PROGRESS_SECONDS)))
    data = b"x" * (3 * CHUNK)
    with ChatClient(server.url) as client:
        client.expect("connected")
        client.send("fileStart", name="f", size=len(data))
        ready = client.expect("fileReady")
        for number, chunk in enumerate(chunks_of(data), start=1):
            client.send_raw(chunk)
            progress = {"uploadId": ready["uploadId"], "received": number * CHUNK, "size": len(data)}
            assert client.expect("fileProgress") == {"type": "fileProgress", **progress}
        client.send("fileEnd")
        client.expect("fileSaved")


def server_time(client: ChatClient) -> int:
    client.send("ping")
    while (message := client.receive())["type"] != "pong":
        pass
    return int(message["serverTime"])
