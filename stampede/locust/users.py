"""What all Locust users of the pool have in common: a session, and a greenlet that keeps it connected."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event
from locust import User, task
from locust.exception import StopUser

from stampede.locust.plugin import pool_of
from stampede.websocket.target import DEFAULT_HOST, ClientError
from stampede.workload.backoff import DEFAULT_BACKOFF, Backoff
from stampede.workload.schedule import SECOND

if TYPE_CHECKING:
    from locust.env import Environment

    from stampede.locust.options import Settings
    from stampede.pool.session import Session
    from stampede.pool.user_pool import UserPool


class ChatUser(User):
    """Base of the user classes: connect, join, stay; come back when the connection is lost.

    An exception in `on_start` would remove a Locust user for good, so everything happens inside the one task.
    """

    abstract: bool = True
    storms: bool = False
    """Whether users of this kind drop every `--storm-period`."""
    host: str | None = DEFAULT_HOST

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.wake = Event()
        self.session: Session | None = None
        self._pool: UserPool | None = None

    def begin(self, pool: UserPool, settings: Settings, session: Session) -> None:
        """Take up habits; called once, when the session is in its room for the first time."""

    def backoff(self, settings: Settings) -> Backoff:
        """Return how to wait before reconnecting: as `--backoff` says where the drop was on purpose."""
        return settings.backoff if self.session is not None and self.session.dropped_at else DEFAULT_BACKOFF

    @task
    def live(self) -> None:
        """Stay in the room until Locust ends this greenlet."""
        found = pool_of(self.environment)
        if found is None:
            raise StopUser
        pool, settings = found
        self._pool = pool
        if self.session is None:  # Locust runs a task again that failed
            self.session = pool.add_user(self)
            self._connect(pool, settings, waits_first=False)
            self.begin(pool, settings, self.session)
        while True:
            self.rest(pool, settings)
            self.session.is_idle = False
            self.session.drop_if_requested()
            self._connect(pool, settings, waits_first=True)

    def rest(self, pool: UserPool, settings: Settings) -> None:
        """Wait until the session needs to be connected again; another session may take its place meanwhile."""
        while self.session is not None and self.session.client.is_ready and not self.session.drop_request:
            self.session.is_idle = True
            self.wake.wait()
            self.wake.clear()

    def _connect(self, pool: UserPool, settings: Settings, *, waits_first: bool) -> None:
        """Connect and join, however many attempts it takes."""
        session = self.session
        assert session is not None  # noqa: S101 # `live` has set it
        backoff, rng = self.backoff(settings), pool.backoff_rng
        failures = 0
        while True:
            wanted = monotonic_ns()
            if failures or waits_first:
                asked = session.client.retry_after
                delay = asked if asked is not None and not failures else backoff.delay(failures, rng)
                wanted += round(delay * SECOND)
                gevent.sleep(delay)
            try:
                session.connect(wanted)
            except ClientError:
                failures += 1
            else:
                return

    def on_stop(self) -> None:
        """Leave."""
        if self._pool is not None and self.session is not None:
            self._pool.remove_user(self.session)
