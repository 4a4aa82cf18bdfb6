"""With disk faults and lost connections, an upload is stored completely or removed completely."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients import ChatClient
from tests.metrics.fixtures import skip_or_fail, wait_until
from tests.server.uploads.uploading import CHUNK, answer, chunks_of, files, upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.processes import RunningServer

MIB = 1024 * 1024


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of 1 MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        skip_or_fail("this user may not mount a file system; the limit on file sizes stands in for it")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def outcome(server: RunningServer, name: str) -> float:
    return server.samples()[f'chat_uploads_total{{outcome="{name}"}}']


def check_that_a_large_file_fails_and_a_small_one_is_stored(server: RunningServer, folder: Path) -> None:
    with ChatClient(server.url) as client:
        client.expect("connected")
        client.send("fileStart", name="large", size=3 * MIB)
        assert answer(client)["type"] == "fileReady"
        for chunk in chunks_of(b"x" * 3 * MIB):
            client.send_raw(chunk)
        refused = answer(client)
        assert (refused["code"], refused["about"]) == ("upload_storage", "fileChunk")
        assert files(folder) == set()
        assert {late["code"] for late in client.until_pong()} <= {
            "upload_missing"
        }  # chunks sent before the error was received
        assert upload(client, "small", b"fits")["type"] == "fileSaved"
        assert len(files(folder)) == 2
    assert outcome(server, "failed") == 1
    assert server.samples()["chat_uploads_active"] == 0


def test_a_full_disk_is_answered_with_an_error(start: Callable[..., RunningServer], tiny_disk: Path) -> None:
    server = start("--upload-dir", str(tiny_disk / "uploads"))
    check_that_a_large_file_fails_and_a_small_one_is_stored(server, tiny_disk / "uploads")
    assert "No space left on device" in server.stop(expects_errors=True)


def test_a_limit_on_file_sizes_is_answered_with_an_error(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    server = start(program=("-m", "tests.disks", "small", str(MIB + 1000)))  # ends within a chunk
    check_that_a_large_file_fails_and_a_small_one_is_stored(server, tmp_path / "uploads")
    assert "File too large" in server.stop(expects_errors=True)


def test_a_read_only_disk_is_answered_with_an_error(start: Callable[..., RunningServer], tiny_disk: Path) -> None:
    server = start("--upload-dir", str(tiny_disk))
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    with ChatClient(server.url) as client:
        client.expect("connected")
        client.send("fileStart", name="f", size=1)
        client.send_raw(chunks_of(b"x")[0])
        assert (refused := answer(client))["code"] == "upload_storage", refused
        assert client.until_pong() == []
        client.send("fileEnd")
        assert answer(client)["code"] == "upload_missing"
        subprocess.run(["mount", "-o", "remount,rw", tiny_disk], check=True)
        assert upload(client, "again", b"fine")["type"] == "fileSaved"
    assert "Read-only file system" in server.stop(expects_errors=True)


def test_a_deleted_folder_is_answered_with_an_error_and_created_again(server: RunningServer, tmp_path: Path) -> None:
    with ChatClient(server.url) as client:
        client.expect("connected")
        client.send("fileStart", name="f", size=3)
        client.expect("fileReady")
        shutil.rmtree(tmp_path / "uploads")
        client.send_raw(chunks_of(b"abc")[0])
        client.send("fileEnd")
        refused = answer(client)
        assert (refused["code"], refused["about"]) == ("upload_storage", "fileEnd")
        assert upload(client, "again", b"fine")["type"] == "fileSaved"
        assert len(files(tmp_path / "uploads")) == 2
    server.stop(expects_errors=True)


@pytest.mark.parametrize("chunks", [2, 30], ids=["a few chunks", "more than the queue holds"])
@pytest.mark.parametrize("end", ["vanished", "cancelled", "rejected"])
def test_nothing_remains_of_an_upload_that_ends_while_it_is_being_written(
    start: Callable[..., RunningServer], tmp_path: Path, end: str, chunks: int
) -> None:
    key = tmp_path / "key"
    server = start(program=("-m", "tests.disks", "shut", str(key)))
    descriptors = Path(f"/proc/{server.process.pid}/fd")
    client = ChatClient(server.url)
    client.expect("connected")
    before = len(list(descriptors.iterdir()))
    client.send("fileStart", name="f", size=40 * CHUNK)
    client.expect("fileReady")
    for chunk in chunks_of(b"x" * chunks * CHUNK):
        client.send_raw(chunk)
    wait_until(lambda: server.samples()['chat_messages_received_total{type="fileChunk"}'] >= 2, "the chunks")
    if end == "vanished":
        client.abort()
    elif end == "cancelled":
        client.send("fileCancel")
        client.send("fileCancel")
    else:
        client.send_raw(b"wrong")
    if chunks == 2:  # otherwise the server does not read what follows them
        if end == "vanished":
            wait_until(lambda: server.samples()["chat_connections"] == 0, "the server to notice")
        else:
            assert client.until_pong() == []  # the answer comes when the file is removed
    assert server.samples()["chat_uploads_active"] == 1
    assert len(files(tmp_path / "uploads")) == 1
    key.touch()
    wait_until(lambda: outcome(server, end) == 1, "the end of the upload")
    assert files(tmp_path / "uploads") == set()
    assert server.samples()["chat_uploads_active"] == 0
    if end != "vanished":
        assert answer(client)["code"] == {"cancelled": "upload_missing", "rejected": "upload_chunk"}[end]
        assert upload(client, "again", b"fine")["type"] == "fileSaved"
        assert len(list(descriptors.iterdir())) == before
        client.close()


def test_a_client_that_waits_for_the_disk_does_not_miss_its_heartbeat(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    flags = ("--heartbeat-interval", "0.2", "--heartbeat-timeout", "6")
    server = start(*flags, program=("-m", "tests.disks", "shut", str(key)))
    with ChatClient(server.url) as client:
        client.expect("connected")
        client.send("fileStart", name="f", size=40 * CHUNK)
        for chunk in chunks_of(b"x" * 40 * CHUNK):
            client.send_raw(chunk)
        client.send("fileEnd")
        wait_until(lambda: server.samples()["chat_heartbeat_pings_total"] >= 40, "longer than the timeout")
        key.touch()
        client.expect("fileReady")
        assert answer(client)["type"] == "fileSaved"
    assert server.samples()["chat_heartbeat_kills_total"] == 0


def test_a_file_being_written_when_the_server_ends_is_removed(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    server = start(program=("-m", "tests.disks", "slow", "0.2"))
    with ChatClient(server.url) as client:
        client.send("fileStart", name="f", size=40 * CHUNK)
        for chunk in chunks_of(b"x" * 30 * CHUNK):
            client.send_raw(chunk)
        wait_until(lambda: len(files(tmp_path / "uploads")) == 1, "the file")
        server.stop()
    assert files(tmp_path / "uploads") == set()


def test_a_server_that_starts_removes_no_file_that_another_server_writes(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    folder = tmp_path / "uploads"
    server, crashed = start(), start()
    with ChatClient(server.url) as client, ChatClient(crashed.url) as unlucky:
        for each in (client, unlucky):
            each.expect("connected")
            each.send("fileStart", name="f", size=4)
            each.expect("fileReady")
        assert len(files(folder)) == 2
        crashed.kill()
        start()
        assert len(files(folder)) == 1
        client.send_raw(chunks_of(b"data")[0])
        client.send("fileEnd")
        saved = answer(client)
    assert saved["type"] == "fileSaved"
    assert files(folder) == {saved["uploadId"], f"{saved['uploadId']}.json"}


def test_uploads_above_the_limit_are_refused(start: Callable[..., RunningServer]) -> None:
    server = start("--max-uploads", "2")
    with ChatClient(server.url) as one, ChatClient(server.url) as two, ChatClient(server.url) as three:
        for client in (one, two, three):
            client.expect("connected")
        for client in (one, two):
            client.send("fileStart", name="f", size=10)
            client.expect("fileReady")
        three.send("fileStart", name="f", size=10)
        assert answer(three)["code"] == "upload_limit"
        one.send("fileCancel")
        one.send("fileCancel")
        assert answer(one)["code"] == "upload_missing"
        assert upload(three, "f", b"now")["type"] == "fileSaved"
    assert outcome(server, "limit") == 1


def test_the_disk_budget_includes_stored_and_announced_files(start: Callable[..., RunningServer]) -> None:
    flags = ("--upload-budget", str(MIB))
    server = start(*flags)
    with ChatClient(server.url) as one, ChatClient(server.url) as two:
        one.expect("connected")
        two.expect("connected")
        assert upload(one, "stored", b"x" * (MIB // 2))["type"] == "fileSaved"
        one.send("fileStart", name="in progress", size=MIB // 4)
        one.expect("fileReady")
        two.send("fileStart", name="too much", size=MIB // 4)
        assert answer(two)["code"] == "upload_budget"
        one.send("fileCancel")
        one.send("fileCancel")
        assert answer(one)["code"] == "upload_missing"
        assert upload(two, "fits now", b"x" * (MIB // 4))["type"] == "fileSaved"
    assert outcome(server, "budget") == 1
    server.stop()
    with ChatClient(start(*flags).url) as client:
        client.expect("connected")
        client.send("fileStart", name="still too much", size=MIB // 4)
        assert answer(client)["code"] == "upload_budget"


def test_stored_files_expire_and_their_disk_space_is_available_again(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "other.txt").write_text("precious")
    (folder / "report.part").write_text("precious")
    server = start("--upload-keep", "1", "--upload-budget", str(MIB))
    with ChatClient(server.url) as client:
        client.expect("connected")
        for _ in range(2):
            assert upload(client, "f", b"x" * (MIB - 8192))["type"] == "fileSaved"
            wait_until(lambda: len(files(folder)) == 2, "the file to expire")
            wait_until(lambda: _has_room(client, MIB - 8192), "its disk space")
    assert files(folder) == {"other.txt", "report.part"}
    assert server.samples()["chat_uploads_expired_total"] == 2
    assert 'event="uploads expired" files=1' in server.stop()


def _has_room(client: ChatClient, size: int) -> bool:
    client.send("fileStart", name="f", size=size)
    reply = answer(client)
    if reply["type"] == "fileReady":
        client.send("fileCancel")
        client.send("fileCancel")
        assert answer(client)["code"] == "upload_missing"
        return True
    assert reply["code"] == "upload_budget"
    return False


def test_many_large_uploads_to_a_slow_disk_need_little_memory_and_do_not_block_the_loop(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    clients, size = 12, 16 * MIB
    server = start(program=("-m", "tests.disks", "slow", "0.003"))
    status = Path(f"/proc/{server.process.pid}/status")
    data = os.urandom(size)
    server.samples()
    before = peak_bytes(status)
    saved = []

    def send_one() -> None:
        with ChatClient(server.url) as client:
            client.expect("connected")
            saved.append(upload(client, "f", data)["type"])

    threads = [threading.Thread(target=send_one) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert saved == ["fileSaved"] * clients  # this disk refuses writes on the event loop's thread
    assert len(files(tmp_path / "uploads")) == 2 * clients
    assert peak_bytes(status) - before < 64 * MIB  # of 192 MiB: only a few chunks of each client


def peak_bytes(status: Path) -> int:
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_the_server_ends_although_the_disk_hangs(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    server = start(program=("-m", "tests.disks", "shut", str(tmp_path / "never")))
    with ChatClient(server.url) as client:
        client.expect("connected")
        client.send("fileStart", name="f", size=CHUNK)
        client.expect("fileReady")
        client.send_raw(chunks_of(b"x" * CHUNK)[0])
        wait_until(lambda: server.samples()["chat_upload_bytes_total"] == CHUNK, "the chunk")
        server.stop()


def test_the_server_ends_although_the_disk_hangs_at_startup(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    command = [sys.executable, "-m", "tests.disks", "hung", str(sign), "--port", "0", "--upload-dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(sign.exists, "the folder to be read")
        process.send_signal(signal.SIGTERM)
        out, log = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out, log) == (0, "", "")
