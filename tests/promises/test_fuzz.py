"""Two hundred thousand malformed inputs cause no exception, affect no other client and leak no resource."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import TYPE_CHECKING

import pytest
import uvloop

from benchmarks.load.wire import FrameReader
from tests.promises.in_process import TIMEOUT_SECONDS, in_process_server
from tests.promises.mutations import KINDS, Kind
from tests.promises.raw_clients import message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.promises.in_process import FakeTransport, InProcessServer

INPUTS = {"heads": 20_000, "frames": 40_000, "fragments": 40_000, "JSON": 96_000, "chunk orders": 5_000}
PER_CONNECTION = {"JSON": 8}  # these inputs leave the connection open, so that one may send several
PATHS = ("/ws/chat", "/ws/chat", "/ws/chat", "/ws/echo", "/ws/notifications")
BATCH = 50  # inputs between two iterations of the event loop
IDLE_SECONDS = 0.2  # the timer of an upload outlives its connection
SECRET = b"a secret of at least thirty-two bytes"


def other_client(server: InProcessServer, room: str) -> FakeTransport:
    transport = server.open_websocket()
    transport.feed(message("setUsername", username="other_client") + message("joinRoom", room=room))
    return transport


def attack(server: InProcessServer, kind: Kind, rng: random.Random, inputs: int) -> None:
    """Send malformed input, split at random places, over a separate connection."""
    can_half_close = rng.random() < 0.8
    if kind.is_head:
        transport = server.connect(can_half_close=can_half_close)
    else:
        transport = server.open_websocket(rng.choice(PATHS), can_half_close=can_half_close)
        transport.is_blocked = rng.random() < 0.02
    for _ in range(inputs):
        data = kind.make(rng)
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3))))
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            transport.feed(data[start:stop])
    transport.lose_connection()
    del transport.protocol


async def uploads_ended(server: InProcessServer) -> None:
    """Wait until the uploads of earlier connections have ended."""
    await server.wait_for_uploads()
    await asyncio.sleep(2 * IDLE_SECONDS)


async def rounds(
    server: InProcessServer, kind: Kind, rng: random.Random, inputs: int, friends: tuple[FakeTransport, FakeTransport]
) -> None:
    ann, bob = friends
    received = FrameReader()
    each = PER_CONNECTION.get(kind.name, 1)
    for start in range(0, inputs, BATCH):
        ann.take_written()
        bob.take_written()
        for number in range(start, min(start + BATCH, inputs), each):
            attack(server, kind, rng, min(each, inputs - number))
        ann.feed(message("chatMessage", text=f"number {start}"))
        texts: list[bytes] = []
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not texts:  # after a stall, a part of the deliveries follows in the next iteration
                await server.run_callbacks()
                texts = [payload for _, _, payload in received.feed(bob.take_written()) if b'"chatMessage"' in payload]
        assert len(texts) == 1, texts
        assert f'"number {start}"'.encode() in texts[0]


CASES = [(kind, with_tokens) for kind in KINDS for with_tokens in (False, True) if kind.is_head or not with_tokens]
"""Only heads contain tokens; the other kinds are not run against a server with tokens."""


@pytest.mark.parametrize(
    ("kind", "with_tokens"),
    CASES,
    ids=[f"{kind.name}-{'tokens' if with_tokens else 'open'}" for kind, with_tokens in CASES],
)
def test_malformed_input_affects_only_its_sender(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, with_tokens: bool
) -> None:
    monkeypatch.setattr("server.uploads.session.IDLE_SECONDS", IDLE_SECONDS)
    inputs = INPUTS[kind.name] // (1 if not with_tokens else 5)
    settings: dict[str, object] = {}
    if with_tokens:
        (tmp_path / "secret").write_bytes(SECRET)
        settings["jwt_secret_file"] = tmp_path / "secret"

    async def fuzz() -> None:
        async with in_process_server(tmp_path / "uploads") as server:
            target = server
            if with_tokens:
                async with in_process_server(tmp_path / "uploads", **settings) as target:
                    await attack_in_rounds(target, server)
            else:
                await attack_in_rounds(target, server)

    async def attack_in_rounds(target: InProcessServer, home: InProcessServer) -> None:
        rng = random.Random(f"{kind.name} {with_tokens}")
        friends = other_client(home, "home"), other_client(home, "home")
        await rounds(target, kind, rng, inputs // 10, friends)
        await uploads_ended(target)
        before = target.resource_counts()
        await rounds(target, kind, rng, inputs - inputs // 10, friends)
        await uploads_ended(target)
        after = target.resource_counts()
        assert {**after, "objects": 0} == {**before, "objects": 0}
        assert after["objects"] < before["objects"] + 2000
        assert not target.chat_server.stats.connections_closed["internal_error"]
        assert not list((tmp_path / "uploads").glob("*.part"))
        for friend in friends:
            assert not friend.closed
            friend.lose_connection()

    gc.collect()
    gc.freeze()  # excludes the objects of pytest from each collection
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(fuzz())
    finally:
        gc.unfreeze()
