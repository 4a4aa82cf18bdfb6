"""The bus over a real NATS server: order, back-pressure, suspends and failures."""

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
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Node:
    """One node's bus, and the messages that it received."""

    def __init__(self, url: str, name: str, clock: Callable[[], float]) -> None:
        self.stats = ServerStats()
        self.bus = Bus(url, None, name, clock, BackgroundTasks(self.stats.task_failures))
        self.received: list[tuple[str, bytes]] = []
        self.reconnects = 0

    def receive(self, subject: str, payload: bytes) -> None:
        self.received.append((subject, payload))

    def on_reconnect(self) -> None:
        self.reconnects += 1


@asynccontextmanager
async def started(url: str, name: str = "a", clock: Callable[[], float] | None = None) -> AsyncIterator[Node]:
    node = Node(url, name, clock or asyncio.get_running_loop().time)
    await node.bus.start(on_message=node.receive, on_reconnect=node.on_reconnect)
    try:
        yield node
    finally:
        await node.bus.stop()


async def subscribed(bus: Bus, subject: str) -> None:
    """Wait until the server has confirmed a subscription."""
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


def test_a_message_does_not_overtake_a_queued_subscription(nats: Nats) -> None:
    async def scenario() -> None:
        async with recorded(nats) as (url, lines), started(url) as node:
            subjects = [f"room.{number}" for number in range(20)]
            for subject in subjects:
                node.bus.subscribe(subject)
            node.bus.publish([("news", b"after all of them")])
            await until(lambda: any(line.startswith(b"PUB news ") for line in lines))
            published = next(number for number, line in enumerate(lines) if line.startswith(b"PUB news "))
            before = {line.split()[1].decode() for line in lines[:published] if line.startswith(b"SUB ")}
            assert set(subjects) <= before

    asyncio.run(scenario())


def test_a_message_does_not_overtake_queued_messages(nats: Nats) -> None:
    async def scenario() -> None:
        async with started(nats.url) as here, started(nats.url, "b") as there:
            there.bus.subscribe("news")
            await subscribed(there.bus, "news")
            here.bus.subscribe("room")
            for number in range(5):
                here.bus.publish([("news", b"%d" % number)])
                await asyncio.sleep(0)  # the queue's task may run in between
            await until(lambda: len(there.received) == 5)
            assert [payload for _, payload in there.received] == [b"0", b"1", b"2", b"3", b"4"]

    asyncio.run(scenario())


def test_the_backlog_returns_to_zero(nats: Nats) -> None:
    async def scenario() -> None:
        async with started(nats.url) as node:
            node.bus.subscribe("room")
            node.bus.publish([("news", b"x" * 1000), ("news", b"y" * 500)])
            assert node.bus.backlog == 1500
            await until(lambda: node.bus.backlog == 0)
            node.bus.publish([("news", b"z")])
            await until(lambda: node.bus.backlog == 0)

    asyncio.run(scenario())


def test_a_suspend_of_this_process_extends_the_probe_timeout_once(nats: Nats) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with started(nats.url, clock=clock) as node:
            states = [node.bus.is_connected]
            clock.now += 600  # the machine was suspended
            states.append(node.bus.is_connected)
            node.bus.detect_suspend()
            for _ in range(MISSED_HEARTBEATS * 4):
                clock.now += HEARTBEAT_SECONDS / 4
                node.bus.detect_suspend()
            states.append(node.bus.is_connected)
            clock.now += 600  # and again, without a probe in between
            states.append(node.bus.is_connected)
            assert states == [True, True, False, False]
            await node.bus.probe()
            await until(lambda: node.bus.is_connected)
            clock.now += 600
            assert node.bus.is_connected

    asyncio.run(scenario())


def test_asking_whether_the_bus_is_connected_changes_nothing(nats: Nats) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with started(nats.url, clock=clock) as node:
            for _ in range(4):
                clock.now += 0.75 * HEARTBEAT_SECONDS
                assert node.bus.is_connected, "the suspend is not detected yet, and only `detect_suspend` detects it"

    asyncio.run(scenario())


def test_a_repeated_subscription_is_not_confirmed_by_the_first_answer(nats: Nats) -> None:
    async def scenario() -> None:
        async with started(nats.url) as node:
            flush, flushes, answers = node.bus._main.flush, 0, asyncio.Semaphore(0)

            async def flush_when_allowed(timeout: int) -> None:  # noqa: ASYNC109 - the library's signature
                nonlocal flushes
                flushes += 1
                await answers.acquire()
                await flush(timeout)

            node.bus._main.flush = flush_when_allowed  # type: ignore[method-assign, assignment]
            confirmed: list[str] = []
            node.bus.subscribe("room")
            node.bus.when_subscribed("room", lambda: confirmed.append("first"))
            await until(lambda: flushes == 1)
            node.bus.unsubscribe("room")
            node.bus.subscribe("room")
            node.bus.when_subscribed("room", lambda: confirmed.append("second"))
            answers.release()
            await until(lambda: flushes == 2)
            assert confirmed == ["first"]
            answers.release()
            await until(lambda: confirmed == ["first", "second"])
            node.bus._main.flush = flush  # type: ignore[method-assign]

    asyncio.run(scenario())


def test_an_unexpected_error_loses_one_message_and_is_counted(nats: Nats) -> None:
    async def scenario() -> None:
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

    asyncio.run(scenario())


def test_a_failed_subscription_is_retried_and_the_bus_is_disconnected_until_then(nats: Nats) -> None:
    async def scenario() -> None:
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

    asyncio.run(scenario())


def test_a_reconnection_that_failed_unexpectedly_is_retried(nats: Nats) -> None:
    async def scenario() -> None:
        async with started(nats.url) as node:
            initialise, failures = node.bus._main._process_connect_init, 0

            async def fail_once() -> None:
                nonlocal failures
                failures += 1
                if failures == 1:
                    raise RuntimeError
                await initialise()

            node.bus._main._process_connect_init = fail_once  # type: ignore[method-assign]
            node.bus._main.abandon_connection()
            probe: Callable[[], Awaitable[None]] = node.bus.probe
            async with asyncio.timeout(SECONDS):
                while failures < 2 or not node.bus.is_connected:
                    await probe()
                    await asyncio.sleep(0.05)

    asyncio.run(scenario())


def test_a_connection_that_nats_closes_with_an_error_is_replaced_with_its_subscriptions(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(small.url) as here, started(small.url, "b") as there:
            here.bus.subscribe("room")
            await subscribed(here.bus, "room")
            here.bus._main.publish_now([("news", b"x" * 5000)])  # bypasses the size check: a payload violation
            await until(lambda: here.bus._main.stats["reconnects"] == 1)
            await until(lambda: here.bus._main.is_connected)
            await here.bus._main.flush()
            there.bus.publish([("room", b"hello")])
            await until(lambda: here.received == [("room", b"hello")])

    configuration = tmp_path / "nats.conf"
    configuration.write_text("max_payload: 4096")
    small = Nats("--config", str(configuration))
    try:
        asyncio.run(scenario())
    finally:
        small.kill()


def test_a_forbidden_subject_is_logged_and_the_connection_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(nats_client.log, "error", lambda _event, reason: logged.append(reason))

    async def scenario() -> None:
        async with started(strict.url.replace("//", "//user:word@")) as node:
            node.bus.subscribe("forbidden")
            await until(lambda: bool(logged))
            assert 'permissions violation for subscription to "forbidden"' in logged[0].lower()
            assert node.bus.is_connected
            assert node.bus._main.stats["reconnects"] == 0

    configuration = tmp_path / "nats.conf"
    configuration.write_text(
        'authorization { users: [{ user: user, password: word, permissions: { subscribe: { deny: "forbidden" } } }] }'
    )
    strict = Nats("--config", str(configuration))
    try:
        asyncio.run(scenario())
    finally:
        strict.kill()


def test_a_message_above_the_payload_limit_is_dropped_and_the_others_are_sent(nats: Nats) -> None:
    async def scenario() -> None:
        async with started(nats.url) as here, started(nats.url, "b") as there:
            there.bus.subscribe("news")
            await subscribed(there.bus, "news")
            here.bus.publish([("news", bytes(here.bus.max_payload + 1)), ("news", b"small")])
            await until(lambda: there.received == [("news", b"small")])
            assert here.bus._main.stats["reconnects"] == 0

    asyncio.run(scenario())


def test_an_invalid_probe_is_ignored(nats: Nats) -> None:
    async def scenario() -> None:
        async with started(nats.url) as node, started(nats.url, "b") as stranger:
            node.bus.subscribe("room")
            await subscribed(node.bus, "room")
            stranger.bus.publish([("stampede.node.a.in", b"bad"), ("room", b"hello")])
            await until(lambda: node.received == [("room", b"hello")])

    asyncio.run(scenario())
