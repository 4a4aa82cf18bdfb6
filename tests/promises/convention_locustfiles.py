"""Locustfiles that follow statements of Locust's documentation; each prints what it saw and ends its test itself."""

from __future__ import annotations

PRELUDE = """
import time
import gevent
from locust import (
    SequentialTaskSet, TaskSet, between, constant, constant_pacing, constant_throughput, events, tag, task,
)
from locust.exception import StopUser
from stampede import *

def saw(*words):
    print("saw:", *words, flush=True)

class Numbered(ChatUser):
    abstract = True
    wait_time = constant(0.05)
    limit = 3
    ended = set()

    def __init__(self, environment):
        super().__init__(environment)
        self.count = 0

    def counted(self, *words):
        self.count += 1
        saw(type(self).__name__, *words)
        if self.count >= self.limit:
            Numbered.ended.add(type(self))
            if len(Numbered.ended) >= len(self.environment.user_classes):
                gevent.spawn(self.environment.runner.quit)
"""

WAIT_TIMES = """
class Timed(Numbered):
    abstract = True
    limit = 5

    @task
    def act(self):
        self.counted(time.monotonic())
        self.client.say()
        gevent.sleep(0.1)

class Between(Timed):
    wait_time = between(0.4, 0.6)

class Constant(Timed):
    wait_time = constant(0.4)

class Paced(Timed):
    wait_time = constant_pacing(0.5)

class Throughput(Timed):
    wait_time = constant_throughput(2)

class Own(Timed):
    def wait_time(self):
        return 0.4
"""

TASKS = """
def first(user):
    user.client.say()
    user.counted("first")

def second(user):
    user.client.say()
    user.counted("second")

class Listed(Numbered):
    limit = 60
    tasks = [first, second]

class Weighted(Numbered):
    limit = 60
    tasks = {first: 9, second: 1}

class Decorated(Numbered):
    limit = 60
    tasks = [first]

    @task(4)
    def third(self):
        self.counted("third")
"""

TASK_SETS = """
class Steps(SequentialTaskSet):
    def on_start(self):
        saw("steps start")

    @task
    def one(self):
        self.client.say("one")
        saw("one", self.client is self.user.client is self.user.chat, self.parent is not self.user)

    @task
    def two(self):
        saw("two")

    @task
    def three(self):
        saw("three")
        self.interrupt()

    def on_stop(self):
        saw("steps stop")

class Outer(TaskSet):
    tasks = [Steps]
    wait_time = constant(0.01)

    @task
    def leave(self):
        self.client.request({"type": "ping", "timestamp": 1}, reply="pong", name="leave")
        self.user.counted("left")
        self.interrupt(reschedule=False)

class Nested(Numbered):
    limit = 8
    tasks = [Outer]
"""

TAGS = """
class Tagged(Numbered):
    wait_time = constant(0.01)
    limit = 30

    @tag("slow")
    @task
    def slow(self):
        self.client.say()
        self.counted("slow")

    @tag("slow", "big")
    @task
    def big(self):
        self.counted("big")

    @task
    def plain(self):
        self.counted("plain")
"""

CLASSES = """
class Base(Numbered):
    abstract = True
    limit = 2
    wait_time = constant(0.1)

    def on_start(self):
        super().on_start()
        saw("start", type(self).__name__, self.client.is_connected)

    @task
    def act(self):
        self.counted()

class Three(Base):
    weight = 3

class One(Base):
    weight = 1

class Two(Base):
    fixed_count = 2

class Heir(One):
    weight = 4

    @task
    def more(self):
        self.counted("more")
"""

HOOKS = """
class Both(Numbered):
    def on_start(self):
        saw("before", self.place)
        super().on_start()
        saw("after", self.client.is_connected)

    @task
    def act(self):
        self.client.say()
        self.counted()

    def on_stop(self):
        saw("stopping", self.client.is_connected)
        super().on_stop()
        saw("stopped", self.client.is_connected)

class Neither(Numbered):
    wait_time = constant(0.1)

    def on_start(self):
        saw("nothing")

    @task
    def act(self):
        self.client.say()
        self.counted(self.client.is_connected)

    def on_stop(self):
        saw("left to the library", self.client.is_connected)
"""

EVENTS = """
events.test_start.add_listener(lambda environment, **_: saw("test_start", environment.host.startswith("ws://")))
events.test_stop.add_listener(lambda environment, **_: saw("test_stop"))
events.user_error.add_listener(lambda user_instance, exception, **_: saw("user_error", exception))

@events.init_command_line_parser.add_listener
def _(parser):
    parser.add_argument("--greeting", default="hello")

class Failing(Numbered):
    wait_time = constant(0.01)

    @task
    def act(self):
        options = self.environment.parsed_options
        saw("options", options.greeting, options.rooms, options.message_rate)
        self.counted()
        raise ValueError("raised on purpose")
"""

STOPS = """
class Stopping(Numbered):
    @task
    def act(self):
        self.client.say()
        self.counted()
        raise StopUser

    limit = 1

class Rest(Numbered):
    wait_time = constant(0.1)
    limit = 30

    @task
    def act(self):
        self.counted(sorted(type(greenlet.args[0]).__name__ for greenlet in self.environment.runner.user_greenlets))
"""

QUITS = """
class Quitting(Numbered):
    wait_time = constant(0.1)

    @task
    def act(self):
        self.client.say()
        self.count += 1
        if self.place == 2 and self.count == 5:
            self.environment.runner.quit()

    def on_stop(self):
        super().on_stop()
        gevent.sleep(0.5)  # the test must not end before
        saw("stopped", self.client.is_connected)
"""

REQUEST_EVENTS = """
@events.request.add_listener
def _(request_type, name, **_):
    saw(request_type, name)

class Firing(Numbered):
    @task
    def act(self):
        self.client.request({"type": "ping", "timestamp": 1}, reply="pong", name="silent")
        self.http.get("/health", name="health")
        self.environment.events.request.fire(
            request_type="OWN", name="fired", response_time=5, response_length=0, exception=None, context={}
        )
        self.counted()
"""
