"""When the bus confirms a subscription: on a NATS client that answers when a test says so."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from server.cluster.bus import Bus
from server.runtime.background_tasks import BackgroundTasks

if TYPE_CHECKING:
    from server.cluster.nats_client import NatsClient

SUBJECT = "stampede.room.7"


class Client:
    """A connected client that notes what it is asked for; `flush` waits until it is allowed to end."""

    def __init__(self) -> None:
        self.is_connected = True
        self.done: list[str] = []
        self.flushes = asyncio.Semaphore(0)

    async def subscribe(self, _subject: str) -> Client:
        self.done.append("subscribe")
        return self

    async def unsubscribe(self) -> None:
        self.done.append("unsubscribe")

    async def flush(self, _timeout: float) -> None:
        self.done.append("ping")
        await self.flushes.acquire()
        self.done.append("pong")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def with_bus(story: Any) -> None:
    async def run() -> None:
        bus, client = Bus("nats://unused", None, "node", lambda: 0.0, BackgroundTasks({})), Client()
        bus._main = cast("NatsClient", client)
        sender = asyncio.create_task(bus._run_queue())
        try:
            await story(bus, client)
        finally:
            sender.cancel()

    asyncio.run(run())


def test_a_subscription_is_confirmed_by_the_servers_answer() -> None:
    async def story(bus: Bus, client: Client) -> None:
        bus.subscribe(SUBJECT)
        bus.when_subscribed(SUBJECT, partial(client.done.append, "confirmed"))
        await settle()
        assert client.done == ["subscribe", "ping"]
        client.flushes.release()
        await settle()
        assert client.done == ["subscribe", "ping", "pong", "confirmed"]
        bus.when_subscribed(SUBJECT, partial(client.done.append, "at once"))
        assert client.done[-1] == "at once"

    with_bus(story)


def test_a_subject_that_was_left_and_subscribed_again_meanwhile_is_confirmed_by_its_last_subscription() -> None:
    async def story(bus: Bus, client: Client) -> None:
        bus.subscribe(SUBJECT)
        bus.when_subscribed(SUBJECT, partial(client.done.append, "first"))
        await settle()
        bus.unsubscribe(SUBJECT)
        bus.subscribe(SUBJECT)
        bus.when_subscribed(SUBJECT, partial(client.done.append, "second"))
        client.flushes.release()
        await settle()
        first = ["subscribe", "ping", "pong", "first"]
        again = ["unsubscribe", "subscribe", "ping"]
        assert client.done == [*first, *again], "confirmed before the server had the last subscription"
        client.flushes.release()
        await settle()
        assert client.done == [*first, *again, "pong", "second"]

    with_bus(story)


def test_subscriptions_asked_for_while_the_sender_is_busy_are_confirmed_together() -> None:
    async def story(bus: Bus, client: Client) -> None:
        bus.subscribe("other")
        await settle()
        for _ in range(3):
            bus.subscribe(SUBJECT)
            bus.unsubscribe(SUBJECT)
        bus.subscribe(SUBJECT)
        bus.when_subscribed(SUBJECT, partial(client.done.append, "confirmed"))
        for _ in range(2):
            client.flushes.release()
        await settle()
        assert client.done[-3:] == ["ping", "pong", "confirmed"]
        assert client.done.count("confirmed") == 1
        assert not bus._unconfirmed

    with_bus(story)
