"""Locustfiles of own scenarios, and comparisons of their runs with the server's counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import FinishedRun

MESSAGES = 'chat_messages_{}_total{{type="{}"}}'
SAVED = 'chat_uploads_total{outcome="saved"}'

# The first example of the documentation.
SUPPORT_AGENT = """
from locust import between, task
from stampede import ChatUser

class SupportAgent(ChatUser):
    wait_time = between(1, 5)

    @task(5)
    def answer(self):
        self.client.say("Have you tried turning it off and on again?")

    @task
    def share_log(self):
        self.client.upload(size=64_000, name="app.log")

    @task
    def look_around(self):
        self.client.request({"type": "ping", "timestamp": 1}, reply="pong", name="look around", timeout=5)
"""

# Every five seconds on average, in a room of ten users: enough tasks of each kind within eight seconds.
USERS = 60
LOAD = ("-u", str(USERS), "-r", str(USERS), "--room-size", "10")


def write(folder: Path, text: str, name: str = "mychat.py") -> str:
    """Write a locustfile; return its path."""
    path = folder / name
    path.write_text(text)
    return str(path)


def assert_exact(ended: FinishedRun, server: RunningServer, users: int = USERS) -> dict[str, tuple[int, int]]:
    """Assert that a run of `SupportAgent` agrees with the server in every count; return its table of requests."""
    ledger, table, counted = ended.ledger(), ended.requests(), server.samples()
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.failed() == []
    assert table["connect"] == table["join"] == (users, 0)
    assert ledger["expected"] == ledger["received"] == counted[MESSAGES.format("delivered", "chatMessage")] > 0
    assert (ledger["lost"], ledger["duplicated"], ledger["reordered"]) == (0, 0, 0)
    assert ledger["sent"] == counted[MESSAGES.format("received", "chatMessage")] == table["send"][0]
    assert counted[SAVED] == table["upload"][0] > 0
    assert counted[MESSAGES.format("received", "ping")] == table["look around"][0] > 0
    return table


def is_busy(users: int, now: Any) -> bool:
    """Return whether all users are in their rooms and every kind of task has been counted."""
    rows = now["requests"]
    return bool(
        now["ready"] == users
        and now["deliveries"]["received"]
        and rows["WS upload"]["count"]
        and rows.get("WS look around", {"count": 0})["count"]
    )


def is_ready(users: int, now: Any) -> bool:
    """Return whether so many users run, all of them in their rooms."""
    return bool(now["ready"] == now["users"] == users)
