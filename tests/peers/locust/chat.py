"""What a Locust user would write to measure deliveries of a chat: websocket-client, a reading greenlet, events.request.

`locust -f chat.py --host ws://...`; set by the environment: ROOMS, RATE (messages a second of one client).
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
    """Says something at a rate, and times all that the others say."""

    wait_time = constant_throughput(RATE)

    def on_start(self) -> None:
        """Connect, enter a room, listen."""
        number = next(NUMBERS)
        self.ws = websocket.create_connection(f"{self.host}/chat")
        self.ws.send(json.dumps({"type": "setUsername", "username": f"locust-{number}"}))
        self.ws.send(json.dumps({"type": "joinRoom", "room": f"room-{number % ROOMS}"}))
        self.reader = gevent.spawn(self.read)

    def read(self) -> None:
        """Take what comes."""
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
        """Say the time."""
        self.ws.send(json.dumps({"type": "chatMessage", "text": f"{time.time() * 1000:.3f}".ljust(64, ".")}))

    def on_stop(self) -> None:
        """Leave."""
        self.reader.kill()
        self.ws.close()
