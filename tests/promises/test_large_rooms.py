"""A message to a room of twenty thousand members does not block the event loop: it is sent in slices."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from benchmarks.load.wire import FrameReader
from server.chat import room as rooms
from server.chat.member import SENT
from tests.promises.in_process import in_process_server
from tests.promises.raw_clients import message

if TYPE_CHECKING:
    from pathlib import Path

    from server.chat.member import WriteResult
    from tests.promises.in_process import FakeTransport, InProcessServer

MEMBERS = 20_000
MESSAGES = 20
WRITE_SECONDS = 5e-6  # about the cost of a system call
LAG_SECONDS = 0.02
NOISE = 0.1  # share of the time that may be lost to other processes of the machine
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


class LoopLagProbe:
    """Measure the processor time that the event loop spends between two callbacks of a timer."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._since = time.thread_time()
        self._stopped = False
        self._measure()

    def stop(self) -> list[float]:
        self._stopped = True
        return self.lags

    def _measure(self) -> None:
        now = time.thread_time()
        self.lags.append(now - self._since)
        self._since = now
        if not self._stopped:
            self._loop.call_later(0, self._measure)


class FakeWrite:
    """A member's `write` that takes as long as a real one and records the data."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def __call__(self, data: bytes) -> WriteResult:
        self.data.append(data)
        end = time.perf_counter() + WRITE_SECONDS
        while time.perf_counter() < end:
            pass
        return SENT


async def fill_room(server: InProcessServer, name: str) -> tuple[FakeTransport, list[FakeWrite]]:
    """Fill a room; return the connection of a sender, and the data written to the other members."""
    sender = server.open_websocket()
    sender.feed(message("setUsername", username="ann") + message("joinRoom", room=name))
    room = server.hub.registry.rooms[name]
    members = []
    for _ in range(MEMBERS - 1):
        write = FakeWrite()
        members.append(write)
        room.add(FakeMember(write))
    await server.run_callbacks()
    return sender, members


class FakeMember:
    def __init__(self, write: FakeWrite) -> None:
        self.write = self.enqueue = write


async def wait_until_delivered(server: InProcessServer, members: list[FakeWrite], last: bytes) -> None:
    async with asyncio.timeout(120):
        # A presence message may follow the last message before the next check.
        while not all(any(last in data for data in reversed(member.data)) for member in members):  # noqa: ASYNC110 - the members set no event
            await asyncio.sleep(0.05)
    await server.run_callbacks()


def chat_messages(write: FakeWrite) -> list[bytes]:
    return [payload for _, _, payload in FrameReader().feed(b"".join(write.data)) if b'"chatMessage"' in payload]


@pytest.mark.parametrize("sliced", [True, False], ids=["sliced", "control"])
def test_the_loop_keeps_running_during_a_large_fan_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sliced: bool
) -> None:
    if not sliced:
        monkeypatch.setattr(rooms, "SLICE_MEMBERS", 2 * MEMBERS)

    async def scenario() -> None:
        async with in_process_server(tmp_path) as server:
            sender, members = await fill_room(server, "large")
            ann, bob = server.open_websocket(), server.open_websocket()
            for transport in (ann, bob):
                transport.feed(message("joinRoom", room="small"))
            await server.run_callbacks()
            bob.take_written()
            probe = LoopLagProbe()
            for number in range(MESSAGES):
                sender.feed(message("chatMessage", text=f"<{number}>"))
                await asyncio.sleep(0.005)
                if sliced:
                    ann.feed(message("chatMessage", text="still here"))
                    for _ in range(8):  # iterations of the loop
                        await asyncio.sleep(0)
                    assert b"still here" in bob.take_written(), "another room waited for the large one"
                    request = server.connect()
                    request.feed(HEALTH)
                    assert request.take_written().endswith(b"OK")
                    request.lose_connection()
            await wait_until_delivered(server, members, f"<{MESSAGES - 1}>".encode())
            lags = probe.stop()
            for member in members[:: MEMBERS // 50]:
                assert [f"<{n}>".encode() in payload for n, payload in enumerate(chat_messages(member))] == [
                    True
                ] * MESSAGES
            late = sum(lag for lag in lags if lag > LAG_SECONDS) / sum(lags)
            assert (late < NOISE) if sliced else (late > 0.5), (late, max(lags))
            await empty(server, "large")
            for transport in (sender, ann, bob):
                transport.lose_connection()

    run(scenario())


def test_messages_faster_than_a_large_fan_out_are_joined_and_do_not_pile_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with in_process_server(tmp_path) as server:
            sender, members = await fill_room(server, "large")
            callbacks = 0
            for number in range(100):
                sender.feed(message("chatMessage", text=f"<{number}>"))
                await asyncio.sleep(0)
                callbacks = max(callbacks, len(server.context.scheduler._at_end))
            await wait_until_delivered(server, members, b"<99>")
            assert callbacks <= 2
            assert len(members[0].data) < 60
            assert [f"<{n}>".encode() in payload for n, payload in enumerate(chat_messages(members[0]))] == [True] * 100
            await empty(server, "large")
            sender.lose_connection()

    run(scenario())


def test_members_that_join_and_leave_during_a_fan_out_get_the_messages_of_their_membership(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with in_process_server(tmp_path) as server:
            sender, members = await fill_room(server, "large")
            joiners: list[tuple[int, FakeTransport]] = []
            for number in range(30):
                sender.feed(message("chatMessage", text=f"<{number}>"))
                joiner = server.open_websocket()
                joiner.feed(message("joinRoom", room="large"))
                joiners.append((number, joiner))
                await asyncio.sleep(0)
            for number in range(30, 40):
                sender.feed(message("chatMessage", text=f"<{number}>"))
            for _, joiner in joiners[::2]:
                joiner.feed(message("leaveRoom"))
            sender.feed(message("chatMessage", text="<40>"))
            await wait_until_delivered(server, members, b"<40>")
            for index, (number, joiner) in enumerate(joiners):
                received = [p for _, _, p in FrameReader().feed(joiner.take_written()) if b'"chatMessage"' in p]
                expected = range(number + 1, 40 if index % 2 == 0 else 41)
                assert [f"<{n}>".encode() in payload for n, payload in zip(expected, received, strict=True)] == [
                    True
                ] * len(received)
                joiner.lose_connection()
            await empty(server, "large")
            sender.lose_connection()

    run(scenario())


async def empty(server: InProcessServer, name: str) -> None:
    """Remove the fake members, which have no connection that could close."""
    room = server.hub.registry.rooms[name]
    for member in [member for member in room.members if isinstance(member, FakeMember)]:
        del room.members[member]
    await asyncio.sleep(0.3)  # the presence message


def run(scenario: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario)
