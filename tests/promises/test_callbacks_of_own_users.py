"""Functions that own users register with `on`: what they raise, and what they measure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.promises.own_scenarios import write
from tests.stampede.fixtures import latency

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust

RAISING = """
import gevent
from locust import constant, task
from stampede import ChatUser

class Listener(ChatUser):
    wait_time = constant(0.3)
    replies = 0

    def on_start(self):
        super().on_start()
        self.client.on("pong", self.received)

    @task
    def ask(self):
        self.client.say()
        self.client.send({"type": "ping", "timestamp": 7})

    def received(self, message):
        Listener.replies += 1
        if Listener.replies == 8:
            gevent.spawn(self.environment.runner.quit)
        if Listener.replies <= 8:
            raise ValueError("raised on purpose")
"""

# The action waits for two seconds. Meanwhile, a callback sends messages, which are due when it runs.
DURING_AN_ACTION = """
import gevent
from stampede import ScheduledUser

class Busy(ScheduledUser):
    schedule = [0.1]
    blocking = True

    def on_start(self):
        super().on_start()
        self.client.on("pong", lambda message: self.client.say())

    def act(self):
        for at in range(1, 20):
            gevent.spawn_later(0.1 * at, self.client.send, {"type": "ping", "timestamp": 7})
        gevent.sleep(2.5)
        gevent.spawn(self.environment.runner.quit)
"""


def test_an_exception_in_a_callback_counts_as_one_of_a_task(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    flags = ("-u", "4", "-r", "4", "--room-size", "4", "--host", server.url)
    ended = locust("--headless", "-f", write(tmp_path, RAISING), *flags).wait(traceback=True)
    assert ended.code == 98
    assert re.search(r"user code: exception in user code, 8 times \(raised on purpose, ", ended.out)
    assert ended.log.count("Traceback") <= 2, "in the log and in Locust's report, not once for each message"
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] > 0


def test_a_callback_is_not_measured_from_the_due_time_of_the_action_in_progress(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    flags = ("-u", "2", "-r", "2", "--rooms", "1", "--host", server.url)
    ended = locust("--headless", "-f", write(tmp_path, DURING_AN_ACTION), *flags).wait()
    assert ended.ended_with(0), ended.out + ended.log
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] > 10
    assert latency(ended.out, "from intended send", "p50") < 2 * latency(ended.out, "from actual send", "p50") + 100
