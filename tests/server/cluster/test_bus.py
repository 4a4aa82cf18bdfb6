"""The bus over a real NATS server: order, back-pressure, suspends, and what a failure leaves intact."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.cluster import nats_client
from server.cluster.bus import Bus
from server.cluster.membership import HEARTBEAT_SECONDS, MISSED_HEARTBEATS
from server.runtime.background_tasks import BackgroundTasks
from server.stats import ServerStats
from tests.server.cluster.fixtures import Nats, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    import pytest
    from nats.aio.subscription import Subscription

SECONDS = 60


class Clock:
    """A clock that moves when a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Side:
    """One node's bus, and what it received."""

    def __init__(self, url: str, name: str, clock: Callable[[], float]) -> None:
        self.stats = ServerStats()
        self.bus = Bus(url, None, name, clock, BackgroundTasks(self.stats.task_failures))
        self.received: list[tuple[str, bytes]] = []
        self.returned = 0

    def take(self, subject: str, payload: bytes) -> None:
        self.received.append((subject, payload))

    def note_return(self) -> None:
        self.returned += 1


@asynccontextmanager
async def started(url: str, name: str = "a", clock: Callable[[], float] | None = None) -> AsyncIterator[Side]:
    side = Side(url, name, clock or asyncio.get_running_loop().time)
    await side.bus.start(on_message=side.take, on_reconnect=side.note_return)
    try:
        yield side
    finally:
        await side.bus.stop()


async def subscribed(bus: Bus, subject: str) -> None:
    """Wait until the server has taken note of a subscription."""
    done = asyncio.Event()
    bus.when_subscribed(subject, done.set)
    async with asyncio.timeout(SECONDS):
        await done.wait()


@asynccontextmanager
async def recorded(nats: Nats) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Yield the URL of a proxy before NATS, and the lines that clients send through it."""
    lines: list[bytes] = []
    handlers: list[asyncio.Task[None] | None] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: list[bytes] | None) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                if record is not None:
                    record.append(line)
                writer.write(line)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", nats.port)
        await asyncio.gather(carry(reader, inner_writer, lines), carry(inner_reader, writer, None))
        for each in (writer, inner_writer):
            with contextlib.suppress(OSError):
                await each.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", lines
    finally:
        server.close()
        await asyncio.gather(*filter(None, handlers))


def test_what_is_published_never_overtakes_a_subscription_that_waits(nats: Nats) -> None:
    async def story() -> None:
        async with recorded(nats) as (url, lines), started(url) as side:
            subjects = [f"room.{number}" for number in range(20)]
            for subject in subjects:
                side.bus.subscribe(subject)
            side.bus.publish([("news", b"after all of them")])
            await until(lambda: any(line.startswith(b"PUB news ") for line in lines))
            published = next(number for number, line in enumerate(lines) if line.startswith(b"PUB news "))
            before = {line.split()[1].decode() for line in lines[:published] if line.startswith(b"SUB ")}
            assert set(subjects) <= before

    asyncio.run(story())


def test_what_is_published_behind_waiting_messages_stays_behind_them(nats: Nats) -> None:
    async def story() -> None:
        async with started(nats.url) as here, started(nats.url, "b") as there:
            there.bus.subscribe("news")
            await subscribed(there.bus, "news")
            here.bus.subscribe("room")
            for number in range(5):
                here.bus.publish([("news", b"%d" % number)])
                await asyncio.sleep(0)  # the queue may be worked off in between
            await until(lambda: len(there.received) == 5)
            assert [payload for _, payload in there.received] == [b"0", b"1", b"2", b"3", b"4"]

    asyncio.run(story())


def test_the_bytes_of_the_backlog_return_to_zero(nats: Nats) -> None:
    async def story() -> None:
        async with started(nats.url) as side:
            side.bus.subscribe("room")
            side.bus.publish([("news", b"x" * 1000), ("news", b"y" * 500)])
            assert side.bus.backlog == 1500
            await until(lambda: side.bus.backlog == 0)
            side.bus.publish([("news", b"z")])
            await until(lambda: side.bus.backlog == 0)

    asyncio.run(story())


def test_a_suspend_of_this_node_grants_one_further_round_and_no_second(nats: Nats) -> None:
    async def story() -> None:
        clock = Clock()
        async with started(nats.url, clock=clock) as side:
            states = [side.bus.is_connected]
            clock.now += 600  # the machine was suspended
            states.append(side.bus.is_connected)
            for _ in range(MISSED_HEARTBEATS * 4):
                clock.now += HEARTBEAT_SECONDS / 4
                side.bus.detect_suspend()
            states.append(side.bus.is_connected)
            clock.now += 600  # and once more, without a pulse in between
            states.append(side.bus.is_connected)
            assert states == [True, True, False, False]
            await side.bus.probe()
            await until(lambda: side.bus.is_connected)
            clock.now += 600
            assert side.bus.is_connected

    asyncio.run(story())


def test_a_subscription_asked_for_again_is_confirmed_by_its_own_answer_and_not_by_the_first(nats: Nats) -> None:
    async def story() -> None:
        async with started(nats.url) as side:
            flush, asked, answers = side.bus._main.flush, 0, asyncio.Semaphore(0)

            async def flush_when_told(timeout: int) -> None:  # noqa: ASYNC109 - the library's signature
                nonlocal asked
                asked += 1
                await answers.acquire()
                await flush(timeout)

            side.bus._main.flush = flush_when_told  # type: ignore[method-assign, assignment]
            confirmed: list[str] = []
            side.bus.subscribe("room")
            side.bus.when_subscribed("room", lambda: confirmed.append("first"))
            await until(lambda: asked == 1)
            side.bus.unsubscribe("room")
            side.bus.subscribe("room")
            side.bus.when_subscribed("room", lambda: confirmed.append("second"))
            answers.release()
            await until(lambda: asked == 2)
            assert confirmed == ["first"]
            answers.release()
            await until(lambda: confirmed == ["first", "second"])
            side.bus._main.flush = flush  # type: ignore[method-assign]

    asyncio.run(story())


def test_an_unexpected_error_costs_one_message_and_is_counted(nats: Nats) -> None:
    async def story() -> None:
        async with started(nats.url) as here, started(nats.url, "b") as there:
            there.bus.subscribe("news")
            await subscribed(there.bus, "news")
            here.bus.subscribe("room")
            here.bus.unsubscribe("never subscribed")
            here.bus.publish([("bad subject", b"lost"), ("news", b"kept")])
            publish = here.bus._main.publish

            async def fail_on_bad(subject: str, payload: bytes) -> None:
                if subject == "bad subject":
                    raise RuntimeError
                await publish(subject, payload)

            here.bus._main.publish = fail_on_bad  # type: ignore[method-assign, assignment]
            await until(lambda: bool(there.received))
            assert [payload for _, payload in there.received] == [b"kept"]
            assert here.stats.task_failures["bus_sender"] == 1
            await until(lambda: here.bus.backlog == 0)
            here.bus.publish([("news", b"more")])
            await until(lambda: len(there.received) == 2)

    asyncio.run(story())


def test_a_subscription_that_fails_is_tried_again_and_the_bus_is_silent_until_then(nats: Nats) -> None:
    async def story() -> None:
        async with started(nats.url) as here, started(nats.url, "b") as there:
            subscribe, attempts, fails = here.bus._main.subscribe, 0, True

            async def fail_at_first(subject: str) -> Subscription:
                nonlocal attempts
                attempts += 1
                if fails:
                    raise RuntimeError
                return await subscribe(subject)

            here.bus._main.subscribe = fail_at_first  # type: ignore[method-assign, assignment]
            here.bus.subscribe("room")
            await until(lambda: attempts == 2)
            assert not here.bus.is_connected
            fails = False
            await until(lambda: here.bus.is_connected)
            await subscribed(here.bus, "room")
            there.bus.publish([("room", b"hello")])
            await until(lambda: here.received == [("room", b"hello")])
            assert here.stats.task_failures["bus_sender"] == attempts - 1

    asyncio.run(story())


def test_a_reconnection_that_failed_unexpectedly_is_tried_again(nats: Nats) -> None:
    async def story() -> None:
        async with started(nats.url) as side:
            initialise, failures = side.bus._main._process_connect_init, 0

            async def fail_once() -> None:
                nonlocal failures
                failures += 1
                if failures == 1:
                    raise RuntimeError
                await initialise()

            side.bus._main._process_connect_init = fail_once  # type: ignore[method-assign]
            side.bus._main.abandon_connection()
            beats: Callable[[], Awaitable[None]] = side.bus.probe
            async with asyncio.timeout(SECONDS):
                while failures < 2 or not side.bus.is_connected:
                    await beats()
                    await asyncio.sleep(0.05)

    asyncio.run(story())


def test_a_connection_that_nats_closes_for_an_error_is_made_again_with_its_subscriptions(tmp_path: Path) -> None:
    async def story() -> None:
        async with started(small.url) as here, started(small.url, "b") as there:
            here.bus.subscribe("room")
            await subscribed(here.bus, "room")
            here.bus._main.publish_now([("news", b"x" * 5000)])  # past the check of sizes: a payload violation
            await until(lambda: here.bus._main.stats["reconnects"] == 1)
            await until(lambda: here.bus._main.is_connected)
            await here.bus._main.flush()
            there.bus.publish([("room", b"hello")])
            await until(lambda: here.received == [("room", b"hello")])

    configuration = tmp_path / "nats.conf"
    configuration.write_text("max_payload: 4096")
    small = Nats("--config", str(configuration))
    try:
        asyncio.run(story())
    finally:
        small.kill()


def test_a_subject_that_nats_does_not_permit_is_logged_and_leaves_the_connection_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(nats_client.log, "error", lambda _event, reason: logged.append(reason))

    async def story() -> None:
        async with started(strict.url.replace("//", "//user:word@")) as side:
            side.bus.subscribe("forbidden")
            await until(lambda: bool(logged))
            assert 'permissions violation for subscription to "forbidden"' in logged[0].lower()
            assert side.bus.is_connected
            assert side.bus._main.stats["reconnects"] == 0

    configuration = tmp_path / "nats.conf"
    configuration.write_text(
        'authorization { users: [{ user: user, password: word, permissions: { subscribe: { deny: "forbidden" } } }] }'
    )
    strict = Nats("--config", str(configuration))
    try:
        asyncio.run(story())
    finally:
        strict.kill()


def test_a_message_larger_than_nats_takes_is_not_sent_and_the_others_are(nats: Nats) -> None:
    async def story() -> None:
        async with started(nats.url) as here, started(nats.url, "b") as there:
            there.bus.subscribe("news")
            await subscribed(there.bus, "news")
            here.bus.publish([("news", bytes(here.bus.max_payload + 1)), ("news", b"small")])
            await until(lambda: there.received == [("news", b"small")])
            assert here.bus._main.stats["reconnects"] == 0

    asyncio.run(story())


def test_a_pulse_that_is_none_is_ignored(nats: Nats) -> None:
    async def story() -> None:
        async with started(nats.url) as side, started(nats.url, "b") as stranger:
            side.bus.subscribe("room")
            await subscribed(side.bus, "room")
            stranger.bus.publish([("stampede.node.a.in", b"no pulse"[:3]), ("room", b"hello")])
            await until(lambda: side.received == [("room", b"hello")])

    asyncio.run(story())
