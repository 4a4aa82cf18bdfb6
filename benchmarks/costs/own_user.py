"""A user of an own scenario: one chat message per task, a task per second."""

from __future__ import annotations

import gevent
from locust import constant, task

from stampede import ChatUser


class OwnUser(ChatUser):
    """Waits a second after each message (a closed loop)."""

    wait_time = constant(1)

    def on_start(self) -> None:
        """Connect, and begin at random within a second: users in step would receive many messages at once."""
        super().on_start()
        gevent.sleep(self.rng("phase").random())

    @task
    def talk(self) -> None:
        """Send a message of the default length."""
        self.client.say()
