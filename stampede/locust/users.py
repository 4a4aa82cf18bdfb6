"""The base class of the Locust users: a session in the pool, and a greenlet that keeps it connected."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event
from locust import User, task
from locust.exception import StopUser

from stampede.locust.plugin import running_test
from stampede.websocket.errors import ClientError
from stampede.websocket.target import DEFAULT_HOST
from stampede.workload.backoff import DEFAULT_BACKOFF, Backoff
from stampede.workload.schedule import SECOND

if TYPE_CHECKING:
    from random import Random

    from locust.env import Environment

    from stampede.locust.settings import LoadTestSettings
    from stampede.pool.session import Session
    from stampede.pool.user_pool import UserPool


class ChatUser(User):
    """Base class of the user classes: connects, joins a room, and reconnects when the connection ends.

    Subclasses start their schedule in `on_first_join`.

    Locust removes a user for good when its `on_start` raises. Connecting is therefore part of the user's only task.

    Attributes:
        pool: all users of this process; set when the task starts.
        settings: the settings of the test; set when the task starts.
        session: the virtual user that this greenlet runs at the moment.
        wake: set when the session needs this greenlet.
        dropped_on_purpose: whether the load test itself caused the last disconnect.
    """

    abstract: bool = True
    drops_periodically: bool = False
    """Whether users of this class drop their connections every `--storm-period`."""
    host: str | None = DEFAULT_HOST

    pool: UserPool
    settings: LoadTestSettings

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.session: Session | None = None
        self.wake = Event()
        self.dropped_on_purpose = False

    def on_first_join(self, session: Session) -> None:
        """Start the user's schedule. Called once, after the first join."""

    def rng(self, purpose: str) -> Random:
        """Return a random generator of this user; it depends on `--seed`, the purpose and the user's place."""
        assert self.session is not None  # noqa: S101 # set before any hook is called
        return self.pool.rng(purpose, self.session.place)

    def reconnect_backoff(self) -> Backoff:
        """Return the policy of the next reconnect: `--backoff` after a drop on purpose, otherwise the default."""
        return self.settings.backoff if self.session is not None and self.session.dropped_at else DEFAULT_BACKOFF

    @task
    def stay_connected(self) -> None:
        """Connect, join and reconnect until Locust stops the user."""
        test = running_test(self.environment)
        if test is None:
            raise StopUser
        self.pool, self.settings = test
        if self.session is None:  # after an exception Locust runs the task again
            self.session = self.pool.add_user(self)
            self._connect(self.session, waits_first=False)
            self.on_first_join(self.session)
        while True:
            self.while_connected()
            self.session.is_idle = False
            self.session.drop_if_requested()
            self.dropped_on_purpose = self.session.client.is_offline
            self._connect(self.session, waits_first=True)

    def while_connected(self) -> None:
        """Run until the session must reconnect."""
        self.wait_until(None)

    def wait_until(self, due: int | None) -> bool:
        """Wait for a time or, with None, for the end of the connection.

        Args:
            due: in monotonic nanoseconds.

        Returns:
            True at the due time, False when the session must reconnect.
        """
        # `pool.remove_user` may replace the session while this greenlet waits.
        while self.session is not None and self.session.client.is_ready and not self.session.drop_request:
            delay = None if due is None else (due - monotonic_ns()) / SECOND
            if delay is not None and delay <= 0:
                self.session.is_idle = False
                return True
            self.session.is_idle = True
            self.wake.wait(delay)
            self.wake.clear()
        return False

    def _connect(self, session: Session, *, waits_first: bool) -> None:
        """Connect and join; retry until that succeeds."""
        backoff, rng = self.reconnect_backoff(), self.pool.backoff_rng
        failures = 0
        while True:
            intended = monotonic_ns()
            if failures or waits_first:
                requested = session.client.retry_after
                delay = requested if requested is not None and not failures else backoff.delay(failures, rng)
                intended += round(delay * SECOND)
                gevent.sleep(delay)
            try:
                session.connect(intended)
            except ClientError:
                failures += 1
            else:
                return

    def on_stop(self) -> None:
        """Leave the room and close the connection; called by Locust."""
        if self.session is not None:
            self.pool.remove_user(self.session)
