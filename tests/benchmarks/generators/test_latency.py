"""The chat load in C times deliveries from the moment at which their message was due."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from benchmarks.comparison.servers import BUN, OURS
from benchmarks.generators import turns
from benchmarks.generators.commands import GeneratorLoad
from benchmarks.generators.latency import Latency, main, measure, quality, table
from benchmarks.processes import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterator

DELAY_S = 0.05
PAIR = GeneratorLoad(clients=2, rooms=1, rate=4, seconds=2)


class DelayingServer:
    """A room in which messages are delivered after `DELAY_S`, or never."""

    def __init__(self) -> None:
        self.delivers = True
        self.members: list[ServerConnection] = []
        self.texts: list[str] = []

    def handle(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            self.converse(connection)

    def converse(self, connection: ServerConnection) -> None:
        for message in connection:
            fields = json.loads(message)
            if fields["type"] == "joinRoom":
                self.members.append(connection)
                connection.send('{"type":"roomJoined"}')
            elif fields["type"] == "chatMessage":
                self.texts.append(fields["text"])
                time.sleep(DELAY_S)
                for member in self.members if self.delivers else ():
                    if member is not connection:
                        member.send(json.dumps(fields, separators=(",", ":")))


@pytest.fixture
def delaying(monkeypatch: pytest.MonkeyPatch) -> Iterator[DelayingServer]:
    """Let measurements use a server in this process."""
    chat = DelayingServer()
    with serve(chat.handle, "127.0.0.1", 0, compression=None) as server:

        @contextmanager
        def running(*_: object) -> Iterator[SimpleNamespace]:
            port = server.socket.getsockname()[1]
            yield SimpleNamespace(url=f"ws://127.0.0.1:{port}", process=SimpleNamespace(pid=0))

        monkeypatch.setattr(turns, "running", running)
        monkeypatch.setattr(turns, "cpu_seconds", lambda _pid: 0.0)
        threading.Thread(target=server.serve_forever).start()
        yield chat
        server.shutdown()


@pytest.mark.usefixtures("compiler")
def test_a_latency_lasts_from_the_due_time_to_the_delivery(delaying: DelayingServer) -> None:
    measured = measure(OURS, PAIR)
    assert DELAY_S * 1000 <= measured.p50_ms <= measured.p99_ms
    assert {int(text[1:19]) for text in delaying.texts} <= {number * 125_000_000 for number in range(16)}
    assert {len(text) for text in delaying.texts} == {64}


@pytest.mark.usefixtures("compiler")
def test_a_server_that_delivers_nothing_is_reported(delaying: DelayingServer) -> None:
    delaying.delivers = False
    with pytest.raises(BenchmarkError, match="Stampede delivered nothing after the warm-up"):
        measure(OURS, PAIR)


@pytest.mark.usefixtures("compiler")
def test_the_latency_of_our_server_is_measured() -> None:
    measured = measure(OURS, GeneratorLoad(clients=20, rooms=2, rate=5, seconds=4))
    assert 0 < measured.p50_ms <= measured.p99_ms
    assert measured.send_delay_p99_ms >= 0


def test_latencies_are_compared_within_each_round() -> None:
    ours = [Latency(1, 10, 0.1, 0), Latency(2, 20, 0.1, 0), Latency(3, 30, 0.1, 0)]
    others = [Latency(2, 10, 0.3, 0), Latency(2, 10, 0.1, 3), Latency(2, 20, 0.1, 0)]
    assert table({OURS: ours, BUN: others}).splitlines()[2:] == [
        "| Stampede | 2.00 ms | 20.00 ms | 1.00 (1.00-1.00) | 1.00 (1.00-1.00) |",
        "| Bun | 2.00 ms | 10.00 ms | 1.00 (0.50-1.50) | 1.50 (1.00-2.00) |",
    ]
    assert quality({OURS: ours, BUN: others}).startswith("3 deliveries did not arrive.")
    assert "late by 0.30 ms at p99 in the worst measurement" in quality({OURS: ours, BUN: others})


@pytest.mark.parametrize("flags", [["--rounds", "0"], ["--seconds", "0"]])
def test_invalid_options_are_reported_in_one_line(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flags) == 2
    assert capsys.readouterr().err.count("\n") == 1
