"""Confirmation of subscriptions, on a NATS client whose answers a test triggers."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from server.cluster.bus import Bus
from server.runtime.background_tasks import BackgroundTasks

if TYPE_CHECKING:
    from server.cluster.nats_client import NatsClient

SUBJECT = "stampede.room.7"


class FakeNatsClient:
    """A connected client that records its calls; `flush` returns when a test allows it."""

    def __init__(self) -> None:
        self.is_connected = True
        self.calls: list[str] = []
        self.flushes = asyncio.Semaphore(0)

    async def subscribe(self, _subject: str) -> FakeNatsClient:
        self.calls.append("subscribe")
        return self

    async def unsubscribe(self) -> None:
        self.calls.append("unsubscribe")

    async def flush(self, _timeout: float) -> None:
        self.calls.append("ping")
        await self.flushes.acquire()
        self.calls.append("pong")


async def run_tasks() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def with_bus(scenario: Any) -> None:
    async def run() -> None:
        bus, client = Bus("nats://unused", None, "node", lambda: 0.0, BackgroundTasks({})), FakeNatsClient()
        bus._main = cast("NatsClient", client)
        queue_task = asyncio.create_task(bus._run_queue())
        try:
            await scenario(bus, client)
        finally:
            queue_task.cancel()

    asyncio.run(run())


def test_a_subscription_is_confirmed_by_the_answer_of_the_server() -> None:
    async def scenario(bus: Bus, client: FakeNatsClient) -> None:
        bus.subscribe(SUBJECT)
        bus.when_subscribed(SUBJECT, partial(client.calls.append, "confirmed"))
        await run_tasks()
        assert client.calls == ["subscribe", "ping"]
        client.flushes.release()
        await run_tasks()
        assert client.calls == ["subscribe", "ping", "pong", "confirmed"]
        bus.when_subscribed(SUBJECT, partial(client.calls.append, "at once"))
        assert client.calls[-1] == "at once"

    with_bus(scenario)


def test_a_repeated_subscription_is_confirmed_by_its_own_answer() -> None:
    async def scenario(bus: Bus, client: FakeNatsClient) -> None:
        bus.subscribe(SUBJECT)
        bus.when_subscribed(SUBJECT, partial(client.calls.append, "first"))
        await run_tasks()
        bus.unsubscribe(SUBJECT)
        bus.subscribe(SUBJECT)
        bus.when_subscribed(SUBJECT, partial(client.calls.append, "second"))
        client.flushes.release()
        await run_tasks()
        first = ["subscribe", "ping", "pong", "first"]
        again = ["unsubscribe", "subscribe", "ping"]
        assert client.calls == [*first, *again], "confirmed before the server had the last subscription"
        client.flushes.release()
        await run_tasks()
        assert client.calls == [*first, *again, "pong", "second"]

    with_bus(scenario)


def test_subscriptions_made_while_the_queue_is_busy_are_confirmed_together() -> None:
    async def scenario(bus: Bus, client: FakeNatsClient) -> None:
        bus.subscribe("other")
        await run_tasks()
        for _ in range(3):
            bus.subscribe(SUBJECT)
            bus.unsubscribe(SUBJECT)
        bus.subscribe(SUBJECT)
        bus.when_subscribed(SUBJECT, partial(client.calls.append, "confirmed"))
        for _ in range(2):
            client.flushes.release()
        await run_tasks()
        assert client.calls[-3:] == ["ping", "pong", "confirmed"]
        assert client.calls.count("confirmed") == 1
        assert not bus._unconfirmed

    with_bus(scenario)
