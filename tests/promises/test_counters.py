"""Counters never decrease: Prometheus would take a decrease for a restart of the process."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import uvloop
from prometheus_client.parser import text_string_to_metric_families

from metrics.collectors import server_collectors
from server.chat import room as rooms
from stampede.metrics.exposition import Exposition
from tests.promises.in_process import in_process_server
from tests.promises.raw_clients import message

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.promises.in_process import FakeTransport, InProcessServer

STEPS = 150
CLIENTS = 25


class Scrapes:
    """Reads the metrics page repeatedly, and compares each counter with its last value."""

    def __init__(self, server: InProcessServer) -> None:
        chat_server, context = server.chat_server, server.context
        collectors = server_collectors(
            chat_server.stats, context.hub.registry.rooms, context.uploads, chat_server.admission
        )
        self._page = Exposition(collectors)
        self.before: dict[tuple[str, ...], float] = {}

    def check(self) -> None:
        now = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(self._page.render().body.decode())
            if family.type in ("counter", "histogram")
            for sample in family.samples
        }
        decreased = {
            name: (self.before[name], value) for name, value in now.items() if value < self.before.get(name, 0)
        }
        assert not decreased
        self.before = now


def act(rng: random.Random, server: InProcessServer, transports: list[FakeTransport]) -> None:
    """Do one thing at random: send, become slow, recover, disconnect during a delivery, reconnect."""
    number = rng.randrange(len(transports))
    transport = transports[number]
    match rng.choice(["chat", "send", "send", "typing", "block", "unblock", "disconnect", "move"]):
        case "chat":
            transport.feed(message("chat", user="a", text="to all") + message("ping"))
        case "send":
            transport.feed(message("chatMessage", text="x" * 4000))
        case "typing":
            transport.feed(message("typing"))
        case "block":
            transport.is_blocked = True
        case "unblock" if not transport.closed:
            transport.read_all()
        case "disconnect":
            transport.closed = True  # the transport is closed, and the server has not handled that yet
        case "move":
            transport.feed(message("joinRoom", room=rng.choice("ab")))
    if transport.closed and rng.random() < 0.5:
        transport.lose_connection()
        transports[number] = server.open_websocket()
        transports[number].feed(message("joinRoom", room=rng.choice("ab")))


def test_no_counter_decreases_between_two_scrapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "SLICE_MEMBERS", CLIENTS // 2)
    monkeypatch.setattr(rooms, "SLICE_SECONDS", 0.0)
    rng = random.Random(7)

    async def scenario() -> None:
        async with in_process_server(
            tmp_path, buffer_soft_limit=10_000, buffer_hard_limit=40_000, chat_rate=0.0
        ) as server:
            transports = [server.open_websocket() for _ in range(CLIENTS)]
            for number, transport in enumerate(transports):
                transport.feed(message("joinRoom", room="ab"[number % 2]))
            scrapes = Scrapes(server)
            for _ in range(STEPS):
                act(rng, server, transports)
                scrapes.check()
                await server.run_callbacks()
                scrapes.check()
            stats = server.chat_server.stats
            assert sum(stats.messages_delivered.values()) > 0
            assert stats.messages_dropped["chatMessage", "closed"] > 0
            assert stats.messages_dropped["userTyping", "slow"] > 0
            for transport in transports:
                transport.lose_connection()
            scrapes.check()

    uvloop.run(scenario())
