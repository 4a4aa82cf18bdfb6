"""`ScheduledUser`: schedules of every form, blocking or not, and what goes wrong in an action."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.promises.own_scenarios import MESSAGES, write
from tests.stampede.fixtures import latency

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import FinishedRun, Locust

PRELUDE = """
import time
import gevent
from locust import constant, task
from locust.exception import StopUser
from stampede import ScheduledUser, poisson, rate

def quit_at(user, count):
    if len(Base.acts) == count:
        gevent.spawn_later(0.5, user.environment.runner.quit)

class Base(ScheduledUser):
    abstract = True
    acts = []

    def acted(self, *words):
        self.acts.append(words)
        print("saw:", *words, flush=True)
"""

SCHEDULES = {
    "a rate": "schedule = rate(10)",
    "a Poisson process": "schedule = poisson(10)",
    "a list": "schedule = [0.1 * n for n in range(10)]",
    "a method": "def schedule(self):\n        yield from (0.1 * n for n in range(10))",
    "pairs": "def schedule(self):\n        return [(0.1 * n, self.other if n % 2 else self.act) for n in range(10)]",
}

SCHEDULED = """
class Own(Base):
    blocking = {blocking}
    {schedule}

    def act(self):
        self.acted("act", self.chat.due)
        self.client.say()
        quit_at(self, 10)

    def other(self):
        self.acted("other", self.chat.due)
        self.client.say("other")
        quit_at(self, 10)
"""

FAILING = """
class Own(Base):
    blocking = {blocking}
    schedule = [0.1 * n for n in range(10)]

    def act(self):
        self.acted("act")
        quit_at(self, 10)
        if len(self.acts) % 2:
            raise ValueError("raised on purpose")
        self.client.say()
"""

WAITING = """
class Own(Base):
    schedule = [0.1, 0.2, 0.3]

    def act(self):
        self.acted("act")
        quit_at(self, 3)
        {wait}  # waits in the event loop
"""

# The first action with both users in the room keeps the process busy.
LATE = """
class Own(Base):
    blocking = {blocking}
    schedule = rate(5)
    joined = []

    def on_start(self):
        super().on_start()
        self.joined.append(self)

    def act(self):
        if len(self.joined) == 2:
            self.acted("act", self.chat.due)
            if len(self.acts) == 1:
                end = time.monotonic() + 1.2
                while time.monotonic() < end:
                    pass
            quit_at(self, 5)
        self.client.say()
"""

STOPPING = """
class Own(Base):
    blocking = {blocking}
    schedule = rate(20)

    def act(self):
        self.acted("act")
        self.client.say()
        if len(self.acts) == 3:
            gevent.spawn_later(1, self.environment.runner.quit)
            raise StopUser
"""

REFUSED = {
    "@task\n    def own(self):\n        pass": "Own is a ScheduledUser and cannot have tasks: override `act`, or "
    "derive it from ChatUser",
    "wait_time = constant(1)": "Own is a ScheduledUser, whose `schedule` sets the times: remove `wait_time`, or "
    "derive it from ChatUser",
    "schedule = iter([1.0, 2.0])": "Own has an iterator as `schedule`, which would end after its first user: give a "
    "list, or a method that returns it",
}

BLOCKING = pytest.mark.parametrize("blocking", [False, True], ids=["in the event loop", "blocking"])


def run(locust: Callable[..., Locust], server: RunningServer, folder: Path, text: str, *flags: str) -> FinishedRun:
    """Run a locustfile to its end, which it decides itself."""
    file = write(folder, PRELUDE + text)
    fails = any(word in text for word in ("on purpose", "waits in the event loop"))
    return locust("--headless", "-f", file, "--host", server.url, *flags).wait(traceback=fails)


def seen(ended: FinishedRun) -> list[str]:
    """Return what the locustfile saw, in order."""
    return re.findall(r"^saw: (.*)", ended.out, re.MULTILINE)


@BLOCKING
@pytest.mark.parametrize("form", list(SCHEDULES))
def test_a_schedule_of_any_form_is_followed(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, form: str, blocking: bool
) -> None:
    ended = run(locust, server, tmp_path, SCHEDULED.format(blocking=blocking, schedule=SCHEDULES[form]))
    acts = [line.split() for line in seen(ended)]
    due = [int(at) for _, at in acts]
    assert due == sorted(due)
    sent = server.samples()[MESSAGES.format("received", "chatMessage")]
    assert ended.ledger()["sent"] == sent >= 10
    if form in ("a list", "a method", "pairs"):
        gaps = [round((after - before) / 1e6) for before, after in pairwise(due)]
        assert gaps == [100] * 9, "the schedule ends, and its due times do not depend on the speed of this machine"
    if form == "a rate":
        assert {round((after - before) / 1e6) for before, after in pairwise(due)} == {100}
    assert [kind for kind, _ in acts[:4]] == (["act", "other"] * 2 if form == "pairs" else ["act"] * 4)
    assert ended.ended_with(0), ended.out + ended.log


@BLOCKING
def test_an_action_that_raises_is_counted_and_the_schedule_goes_on(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, blocking: bool
) -> None:
    ended = run(locust, server, tmp_path, FAILING.format(blocking=blocking))
    assert len(seen(ended)) == 10
    assert "exception in user code, 5 times (raised on purpose, " in ended.out
    assert ended.code == 98
    assert ended.ledger()["sent"] == server.samples()[MESSAGES.format("received", "chatMessage")] == 5


@pytest.mark.parametrize(
    "wait",
    [
        "time.sleep(0.1)",
        'self.client.request({"type": "ping", "timestamp": 1}, reply="pong", name="look around")',
        "self.client.upload(size=1000)",
        "self.http.get('/health')",
    ],
)
def test_an_action_that_waits_in_the_event_loop_is_told_about_blocking(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, wait: str
) -> None:
    ended = run(locust, server, tmp_path, WAITING.format(wait=wait))
    assert len(seen(ended)) == 3
    assert "exception in user code, 3 times (an action of Own waits: set `blocking = True` in its class, " in ended.out
    assert ended.code == 98
    assert "Internal error" not in ended.log


@BLOCKING
def test_a_late_action_keeps_its_due_time(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, blocking: bool
) -> None:
    ended = run(locust, server, tmp_path, LATE.format(blocking=blocking), "-u", "2", "-r", "2", "--rooms", "1")
    first, second, third, *_ = sorted(int(line.split()[1]) for line in seen(ended))
    assert third > second > first
    assert latency(ended.out, "from intended send", "p99") > 1000
    assert latency(ended.out, "from actual send", "p99") < latency(ended.out, "from intended send", "p99")
    assert ended.ledger()["received"] == ended.ledger()["expected"] > 0


@BLOCKING
def test_an_action_may_stop_its_user(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, blocking: bool
) -> None:
    ended = run(locust, server, tmp_path, STOPPING.format(blocking=blocking))
    assert len(seen(ended)) == 3
    assert ended.ended_with(0), ended.out + ended.log
    assert set(server.closed()) == {"client"}


@pytest.mark.parametrize("attribute", list(REFUSED))
def test_what_a_schedule_cannot_have_is_refused(locust: Callable[..., Locust], tmp_path: Path, attribute: str) -> None:
    file = write(tmp_path, f"{PRELUDE}\nclass Own(Base):\n    {attribute}\n")
    ended = locust("-f", file, "--list").wait(traceback=True)
    assert ended.code == 1
    assert f"TypeError: {REFUSED[attribute]}\n" in ended.log
