"""A typical hand-written Locust user for a chat: websocket-client, a reading greenlet, `events.request`.

Run `locust -f chat.py --host ws://...` with ROOMS and RATE (messages per second of one client) in the environment.
"""

from __future__ import annotations

import json
import os
import time
from itertools import count

import gevent
import websocket
from locust import User, constant_throughput, task

ROOMS = int(os.environ["ROOMS"])
RATE = float(os.environ["RATE"])
NUMBERS = count()


class ChatUser(User):
    """Sends messages at a fixed rate and measures the latency of the messages that it receives."""

    wait_time = constant_throughput(RATE)

    def on_start(self) -> None:
        """Connect, join a room, and start to read."""
        number = next(NUMBERS)
        self.ws = websocket.create_connection(f"{self.host}/chat")
        self.ws.send(json.dumps({"type": "setUsername", "username": f"locust-{number}"}))
        self.ws.send(json.dumps({"type": "joinRoom", "room": f"room-{number % ROOMS}"}))
        self.reader = gevent.spawn(self.read)

    def read(self) -> None:
        """Report each received chat message to Locust."""
        while True:
            raw = self.ws.recv()
            message = json.loads(raw)
            if message["type"] == "chatMessage":
                self.environment.events.request.fire(
                    request_type="WS",
                    name="deliver",
                    response_time=time.time() * 1000 - float(message["text"].rstrip(".")),
                    response_length=len(raw),
                    exception=None,
                    context={},
                )

    @task
    def say(self) -> None:
        """Send the current time as a chat message."""
        self.ws.send(json.dumps({"type": "chatMessage", "text": f"{time.time() * 1000:.3f}".ljust(64, ".")}))

    def on_stop(self) -> None:
        """Stop reading and disconnect."""
        self.reader.kill()
        self.ws.close()
