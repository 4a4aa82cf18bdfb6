"""A word to twenty thousand holds nobody up: it goes out in slices, and others get their turn between them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from benchmarks.load.wire import FrameReader
from server.chat import room as rooms
from server.chat.member import SENT
from tests.promises.in_process import world
from tests.promises.raw_clients import message

if TYPE_CHECKING:
    from pathlib import Path

    from server.chat.member import WriteResult
    from tests.promises.in_process import Pipe, World

MEMBERS = 20_000
WORDS = 20
WRITE_SECONDS = 5e-6  # what a system call costs
LAG_SECONDS = 0.02
NOISE = 0.1  # share of turns that may be late because the machine was busy with something else
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


class Canary:
    """Asks for its turn on the loop again and again; measures how much processor time the loop took in between."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._since = time.thread_time()
        self._stopped = False
        self._turn()

    def stop(self) -> list[float]:
        self._stopped = True
        return self.lags

    def _turn(self) -> None:
        now = time.thread_time()
        self.lags.append(now - self._since)
        self._since = now
        if not self._stopped:
            self._loop.call_later(0, self._turn)


class Wire:
    """A member's transport as expensive as a real one."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def __call__(self, data: bytes) -> WriteResult:
        self.data.append(data)
        end = time.perf_counter() + WRITE_SECONDS
        while time.perf_counter() < end:
            pass
        return SENT


async def crowd(inside: World, name: str) -> tuple[Pipe, list[Wire]]:
    """Fill a room, and return one who may speak in it and what the others get."""
    speaker = inside.upgraded()
    speaker.feed(message("setUsername", username="ann") + message("joinRoom", room=name))
    room = inside.hub.registry.rooms[name]
    members = []
    for _ in range(MEMBERS - 1):
        wire = Wire()
        members.append(wire)
        room.add(Member(wire))
    await inside.settle()
    return speaker, members


class Member:
    def __init__(self, wire: Wire) -> None:
        self.write = self.enqueue = wire


async def told(inside: World, members: list[Wire], last: bytes) -> None:
    async with asyncio.timeout(120):
        # A notice of comings and goings may follow the last message before this loop looks again.
        while not all(any(last in data for data in reversed(member.data)) for member in members):  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(0.05)
    await inside.settle()


def words(wire: Wire) -> list[bytes]:
    return [payload for _, _, payload in FrameReader().feed(b"".join(wire.data)) if b'"chatMessage"' in payload]


@pytest.mark.parametrize("sliced", [True, False], ids=["sliced", "control"])
def test_the_loop_goes_on_while_a_large_room_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sliced: bool
) -> None:
    if not sliced:
        monkeypatch.setattr(rooms, "SLICE_MEMBERS", 2 * MEMBERS)

    async def story() -> None:
        async with world(tmp_path) as inside:
            speaker, members = await crowd(inside, "large")
            ann, bob = inside.upgraded(), inside.upgraded()
            for pipe in (ann, bob):
                pipe.feed(message("joinRoom", room="small"))
            await inside.settle()
            bob.take()
            canary = Canary()
            for number in range(WORDS):
                speaker.feed(message("chatMessage", text=f"<{number}>"))
                await asyncio.sleep(0.005)
                if sliced:
                    ann.feed(message("chatMessage", text="still here"))
                    for _ in range(8):  # turns of the loop
                        await asyncio.sleep(0)
                    assert b"still here" in bob.take(), "another room waited for the large one"
                    visitor = inside.visit()
                    visitor.feed(HEALTH)
                    assert visitor.take().endswith(b"OK")
                    visitor.lose()
            await told(inside, members, f"<{WORDS - 1}>".encode())
            lags = canary.stop()
            for member in members[:: MEMBERS // 50]:
                assert [f"<{n}>".encode() in word for n, word in enumerate(words(member))] == [True] * WORDS
            late = sum(lag for lag in lags if lag > LAG_SECONDS) / sum(lags)
            assert (late < NOISE) if sliced else (late > 0.5), (late, max(lags))
            await empty(inside, "large")
            for pipe in (speaker, ann, bob):
                pipe.lose()

    run(story())


def test_what_is_said_faster_than_a_large_room_can_be_told_is_joined_and_does_not_pile_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as inside:
            speaker, members = await crowd(inside, "large")
            callbacks = 0
            for number in range(100):
                speaker.feed(message("chatMessage", text=f"<{number}>"))
                await asyncio.sleep(0)
                callbacks = max(callbacks, len(inside.context.scheduler._at_end))
            await told(inside, members, b"<99>")
            assert callbacks <= 2
            assert len(members[0].data) < 60
            assert [f"<{n}>".encode() in word for n, word in enumerate(words(members[0]))] == [True] * 100
            await empty(inside, "large")
            speaker.lose()

    run(story())


def test_whoever_comes_and_goes_in_the_middle_hears_what_was_said_while_it_was_there(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as inside:
            speaker, members = await crowd(inside, "large")
            guests: list[tuple[int, Pipe]] = []
            for number in range(30):
                speaker.feed(message("chatMessage", text=f"<{number}>"))
                guest = inside.upgraded()
                guest.feed(message("joinRoom", room="large"))
                guests.append((number, guest))
                await asyncio.sleep(0)
            for number in range(30, 40):
                speaker.feed(message("chatMessage", text=f"<{number}>"))
            for _, guest in guests[::2]:
                guest.feed(message("leaveRoom"))
            speaker.feed(message("chatMessage", text="<40>"))
            await told(inside, members, b"<40>")
            for index, (number, guest) in enumerate(guests):
                heard = [p for _, _, p in FrameReader().feed(guest.take()) if b'"chatMessage"' in p]
                expected = range(number + 1, 40 if index % 2 == 0 else 41)
                assert [f"<{n}>".encode() in word for n, word in zip(expected, heard, strict=True)] == [True] * len(
                    heard
                )
                guest.lose()
            await empty(inside, "large")
            speaker.lose()

    run(story())


async def empty(inside: World, name: str) -> None:
    """Let the fake members go, who cannot go by themselves."""
    room = inside.hub.registry.rooms[name]
    for member in [member for member in room.members if isinstance(member, Member)]:
        del room.members[member]
    await asyncio.sleep(0.3)  # the notice of comings and goings


def run(story: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story)
