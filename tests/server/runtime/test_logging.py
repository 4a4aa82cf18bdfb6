"""The log describes connections and errors, quotes no client data, and is limited in rate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from server.runtime.logging import LINES_AT_ONCE, LINES_PER_SECOND, LINES_WAITING, EventLimiter, Log
from tests.clients import ChatClient, RawClient
from tests.metrics.fixtures import wait_until
from tests.promises.server_process import launch
from tests.server.uploads.uploading import upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer

SECRET = "xyzzy-plugh-never-in-a-log"


def lines(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines()]


def test_a_closed_connection_is_logged_in_one_line_with_its_counts(start: Callable[..., RunningServer]) -> None:
    server = start("--log-format", "json", "--heartbeat-interval", "0")  # a ping would add to the bytes
    with ChatClient(server.url, "/chat?token=" + SECRET) as client:
        client.expect("connected")
        client.send("setUsername", username="Ann")
        client.expect("usernameSet")
        client.send("joinRoom", room="r")
        client.expect("userJoined")
        client.expect("roomJoined")
        assert upload(client, "a file", b"data")["type"] == "fileSaved"
        client.expect("fileShared")
        assert client.until_pong() == []
    [line] = lines(server.stop())
    assert 0 < line.pop("seconds") < 60
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "connection closed",
        "client": "127.0.0.1",
        "path": "/chat",
        "username": "Ann",
        "bytes_in": client.sent_bytes + 8,  # and the close frame: header, mask, code
        "bytes_out": client.received_bytes + 4,
        "messages_in": 6,
        "reason": "client",
        "code": 1000,
    }


def test_no_log_level_logs_texts_or_tokens(start: Callable[..., RunningServer]) -> None:
    server = start("--log-level", "debug")
    RawClient(server.url, f"/ws/echo?token={SECRET}").close()
    with ChatClient(server.url, f"/chat?token={SECRET}") as client, ChatClient(server.url) as other:
        for each in (client, other):
            each.send("joinRoom", room=SECRET)
        client.send("chatMessage", text=SECRET)
        client.send("chat", user=SECRET, text=SECRET)
        client.send("fileStart", name=SECRET, size=1, mimeType=SECRET)
        client.send_raw(SECRET)
        client.send_raw(json.dumps({"type": SECRET}))
        client.send_raw(SECRET.encode())
        client.until_pong()
    bad = RawClient(server.url)
    bad.send(b"\x81\x9e\0\0\0\0" + SECRET.encode() + b"\xff\xff\xff\xff")
    bad.close()
    with pytest.raises(OSError, match="404"):
        server.get(f"/{SECRET}?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
    wait_until(lambda: server.samples()["chat_connections"] == 0, "the server to notice")
    log = server.stop()
    assert log.count('event="connection closed"') == 4
    assert SECRET not in log


def test_a_flood_of_events_is_limited_and_the_suppressed_lines_are_counted() -> None:
    connects, at_once = 1500, 100
    with launch("--log-format", "json", "--handshake-rate", "0") as server:  # logs to a file: a pipe would fill up
        began = server.samples()["chat_connections_opened_total"]
        for _ in range(connects // at_once):
            clients = [RawClient(server.url, "/ws/echo") for _ in range(at_once)]
            for client in clients:
                client.close()
        wait_until(lambda: sum(server.closed().values()) == connects, "the last to be gone")
        assert server.samples()["chat_connections_opened_total"] - began == connects
    told = lines(server.log)
    closed = [line for line in told if line["event"] == "connection closed"]
    suppressed = [line for line in told if line["event"] == "lines suppressed"]
    assert len(closed) + len(suppressed) == len(told)
    assert len(closed) + sum(line["count"] for line in suppressed) == connects
    assert all(line["events"] == f"connection closed: {line['count']}" for line in suppressed)
    assert len(closed) < connects / 2  # the exact limit is tested below
    assert len(suppressed) <= len(closed) / LINES_PER_SECOND + 2


def test_each_event_has_a_burst_and_a_rate() -> None:
    limiter = EventLimiter()
    at_once = [limiter.allow("a", 1.0) for _ in range(2 * LINES_AT_ONCE)].count(True)
    assert at_once == pytest.approx(LINES_AT_ONCE, abs=1)
    assert limiter.allow("b", 1.0)  # each event has its own bucket
    later = [limiter.allow("a", 11.0) for _ in range(2 * LINES_AT_ONCE)].count(True)
    assert later == pytest.approx(10 * LINES_PER_SECOND, abs=1)
    limiter.suppress("b")
    assert limiter.take_suppressed() == {"a": 4 * LINES_AT_ONCE - at_once - later, "b": 1}
    assert limiter.take_suppressed() == {}


def test_a_log_that_is_not_read_blocks_nothing_and_counts_its_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.runtime.logging.FLUSH_SECONDS", 0.1)
    reader, writer = os.pipe()
    log = Log(writer, lambda _event: "x" * 100_000, clock=lambda: 1.0)
    for number in range(3000):
        with pytest.raises(structlog.DropEvent):
            log.enqueue(None, "info", {"event": str(number)})
    log.close()
    assert sum(log._limiter.take_suppressed().values()) == pytest.approx(3000 - LINES_WAITING, abs=1)
    os.close(reader)  # the current line and all later ones cannot be written
    log._thread.join(60)
    assert not log._thread.is_alive()
    os.close(writer)


def test_an_exception_in_a_callback_is_logged_in_one_line() -> None:
    program = f"""
import asyncio, logging, sys, uvloop
from server.runtime import logging as logs
log = logs.configure("info", "json", sys.stderr.fileno())
async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.log_loop_exception)
    def fail(text): raise ValueError(text)
    loop.call_soon(fail, "{SECRET}")
    loop.call_exception_handler({{"message": "Lost <Handle fail('{SECRET}')>"}})
    logging.getLogger("a.library").warning("cannot do %s", "{SECRET}")
    logging.getLogger("websockets.server").info("connection open")
    await asyncio.sleep(0.05)
asyncio.run(main(), loop_factory=uvloop.new_event_loop) if sys.version_info >= (3, 12) else uvloop.run(main())
log.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert SECRET not in done.stderr
    assert done.stdout == ""
    lost, library, failed = lines(done.stderr)
    assert (lost["event"], lost["level"], lost["template"]) == ("exception in callback", "error", "Lost")
    assert (library["event"], library["level"], library["template"]) == ("a.library", "warning", "cannot do %s")
    assert (failed["event"], failed["error"]) == ("exception in callback", "ValueError")
    assert failed["where"].startswith("<string>:")


def test_a_value_with_line_breaks_does_not_break_the_line(start: Callable[..., RunningServer]) -> None:
    server = start()
    with ChatClient(server.url) as client:
        client.send("setUsername", username='a\u2028b "c" level=error')
        client.until_pong()
    assert len(server.stop(expects_errors=True).splitlines()) == 1


@pytest.mark.parametrize(("level", "count"), [("info", 1), ("warning", 0)])
def test_lines_below_the_level_are_not_logged(start: Callable[..., RunningServer], level: str, count: int) -> None:
    server = start("--log-level", level)
    with ChatClient(server.url) as client:
        client.expect("connected")
    assert len(server.stop().splitlines()) == count
