"""Measure an MQTT broker with Paho's client: `python -m tests.dialects.clients.mqtt_client`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from paho.mqtt.client import Client as Paho
from paho.mqtt.client import ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.dialects.clients.latencies import measure

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

ANSWER_SECONDS = 60


class Client:
    """A subscriber of a topic. Paho's callbacks run in a thread of its own."""

    def __init__(self, topic: str, received: Callable[[str], None]) -> None:
        self._topic = topic
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._joined = self._loop.create_future()
        self._paho = Paho(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311, transport="websockets")
        self._paho.on_connect = self._on_connect
        self._paho.on_subscribe = self._on_subscribe
        self._paho.on_message = self._on_message

    async def join(self, url: str, token: str | None) -> None:
        """Connect and subscribe."""
        address = urlsplit(url)
        assert address.hostname
        if token is not None:
            self._paho.username_pw_set("guest", token)
        self._paho.connect(address.hostname, address.port or 80)
        self._paho.loop_start()
        code = await asyncio.wait_for(self._joined, ANSWER_SECONDS)
        assert not code.is_failure, code

    async def say(self, text: str) -> None:
        """Publish a text with QoS 0."""
        self._paho.publish(self._topic, text)

    async def close(self) -> None:
        """Disconnect."""
        self._paho.disconnect()
        self._paho.loop_stop()

    def _on_connect(
        self, client: Paho, userdata: object, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._loop.call_soon_threadsafe(self._joined.set_result, code)
        else:
            client.subscribe(self._topic)

    def _on_subscribe(
        self, client: Paho, userdata: object, mid: int, codes: list[ReasonCode], properties: Properties | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._joined.set_result, codes[0])

    def _on_message(self, client: Paho, userdata: object, message: MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._received, message.payload.decode())


async def connect(url: str, room: str, token: str | None, number: int, received: Callable[[str], None]) -> Client:
    """Return a client that has subscribed to the topic of a room."""
    client = Client(f"chat/{room}", received)
    await client.join(url, token)
    return client


if __name__ == "__main__":
    measure(connect)
