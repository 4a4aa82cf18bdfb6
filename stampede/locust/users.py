"""Base classes for users: `ChatUser` runs tasks as any Locust user does, `ScheduledUser` acts at due times.

from locust import between, task
from stampede import ChatUser

class SupportAgent(ChatUser):
    wait_time = between(1, 5)

    @task
    def answer(self):
        self.client.say("Have you tried turning it off and on again?")
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.exceptions import BlockingSwitchOutError
from locust import User, task
from locust.contrib.fasthttp import FastHttpSession
from locust.exception import StopTest, StopUser

from stampede.locust.exceptions import count_exception
from stampede.locust.hooks import ServerHooks
from stampede.locust.http_steps import HttpStepRunner
from stampede.locust.plugin import running_test
from stampede.locust.settings import http_base_url
from stampede.websocket.errors import ClientError
from stampede.websocket.target import DEFAULT_HOST
from stampede.workload.backoff import DEFAULT_BACKOFF, Backoff
from stampede.workload.schedule import SECOND, ScheduledAction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from random import Random

    from locust.env import Environment

    from stampede.client.client import ChatClient
    from stampede.client.credentials import Credentials
    from stampede.dialects.base import Conversation, Dialect, Feature
    from stampede.locust.settings import LoadTestSettings
    from stampede.pool.session import Session
    from stampede.pool.user_pool import UserPool

    Schedule = Iterable[float | tuple[float, Callable[[], Any]]]

_NOTHING_DUE_SECONDS: Final = 3600.0


class ChatUser(ServerHooks, User):
    """A user of the chat. It has no tasks of its own.

    `on_start` connects the user and joins its room, and retries until that succeeds. From then on the client reconnects
    by itself. A storm may drop the user at any moment, also while a task waits for a reply.

    Requests of the chat client are counted in Locust's table without its `request` event, which would cost more than a
    delivery. HTTP requests, and those that a scenario fires itself, have the event.

    Attributes:
        client: the chat client of the user. In `class Agent(HttpUser, ChatUser)` it is the HTTP client, whose base URL
            is `http_host`; `chat` is always the chat client.
        dialect: the wire protocol of the server: a `Dialect`, or the name of one, a file or `module:Class` as in
            `--dialect`, which overrides it; by default that of the bundled server.
        http_host: base URL of the HTTP clients, which `--http-host` overrides; by default `host` with http for ws and
            https for wss.
        required_features: what the dialect must have for this class; otherwise the test does not start.
        drops_periodically: whether `--storm-share` of the users of this class drop together every `--storm-period`.
    """

    abstract: bool = True
    host: str | None = DEFAULT_HOST
    dialect: Dialect | str | None = None
    http_host: str | None = None
    required_features: frozenset[Feature] = frozenset()
    drops_periodically: bool = False

    def __init__(self, environment: Environment) -> None:
        self._mixed_in_client: Any = None
        self._session: Session | None = None
        self._pool: UserPool | None = None
        self._settings: LoadTestSettings | None = None
        self._http: FastHttpSession | None = None
        self._started = False
        self._chat: ChatClient | None = None  # from the start on; each action asks for it
        super().__init__(environment)

    # --- the interface for scenarios ---

    @property
    def chat(self) -> ChatClient:
        """The chat client. The first use connects a user whose class overrides `on_start`."""
        return self._chat if self._chat is not None else self._start().client

    @property
    def client(self) -> Any:
        """The chat client, or the client of a mixed-in class."""
        return self.chat if self._mixed_in_client is None else self._mixed_in_client

    @client.setter
    def client(self, value: Any) -> None:
        # Locust's HTTP users have given it `host`, which is the address of the chat.
        if isinstance(getattr(value, "base_url", None), str):
            value.base_url = self._http_url
        self._mixed_in_client = value

    @property
    def settings(self) -> LoadTestSettings:
        """The options of the load test, converted and checked."""
        self._begin()
        assert self._settings is not None  # noqa: S101 # set by `_begin`
        return self._settings

    @property
    def account(self) -> Mapping[str, str]:
        """The user's name as `user`, and its `token` or the columns of `--credentials`."""
        return self._begin().account

    @property
    def http(self) -> FastHttpSession:
        """An HTTP client of this user, with cookies of its own, for `http_host`."""
        if self._http is None:
            # As in FastHttpUser, no request is repeated: a message could arrive twice.
            self._http = FastHttpSession(self._http_url, self.environment.events.request, self, max_retries=0)
        return self._http

    @property
    def _http_url(self) -> str:
        return http_base_url([type(self)], self.environment.parsed_options, self.host or DEFAULT_HOST)

    def rng(self, purpose: str) -> Random:
        """Return a random generator of this user; it depends on `--seed`, the purpose and the user's number."""
        session = self._begin()
        assert self._pool is not None  # noqa: S101 # set by `_begin`
        return self._pool.rng(purpose, session.place)

    def reconnect_backoff(self) -> Backoff:
        """Return the policy of the next reconnect: `--backoff` after a drop on purpose, otherwise the default."""
        dropped = self._session is not None and self._session.resync.dropped_at
        return self._settings.backoff if dropped and self._settings is not None else DEFAULT_BACKOFF

    @property
    def place(self) -> int | None:
        """Number of the user in this process; None before its start."""
        return self._session.place if self._session is not None else None

    # --- life cycle ---

    def on_start(self) -> None:
        """Connect and join the room. Other users run meanwhile."""
        self._start()

    def on_stop(self) -> None:
        """Leave the room and close the connection."""
        self._end()

    def _start(self) -> Session:
        session = self._begin()
        if not self._started:
            self._started = True
            self._chat = session.client
            session.connect()
            if self.drops_periodically and self._pool is not None and self._settings is not None:
                settings = self._settings
                self._pool.droppers.start_periodic(
                    type(self), settings.storm_share, settings.storm_period, settings.storm_manner
                )
        return session

    def _begin(self) -> Session:
        """Return the user's session, which a running test gives it."""
        if self._session is None:
            test = running_test(self.environment)
            if test is None:
                raise gevent.GreenletExit  # in `on_start`, Locust 2.47 logs StopUser with a traceback
            self._pool, self._settings = test
            self._session = self._pool.add_user(_SessionUser(self, self._pool, self._count_exception))
            if self.greenlet is not None:
                self.greenlet.link(lambda _: gevent.spawn(self._end))  # for classes that override `on_stop`
        return self._session

    def _end(self) -> None:
        if self._session is not None and self._pool is not None:
            self._pool.remove_user(self._session)

    def _count_exception(self, error: Exception) -> None:
        """Count an exception outside of a task as Locust counts those of tasks."""
        count_exception(self.environment, self, error)


class _SessionUser:
    """A user as its session uses it. Exceptions of the scenario are counted and become `ClientError`s."""

    def __init__(self, user: ChatUser, pool: UserPool, count_exception: Callable[[Exception], None]) -> None:
        self._user = user
        self._pool = pool
        self._count_exception = count_exception
        self._runner: HttpStepRunner | None = None
        self.user_class = type(user)

    @property
    def post(self) -> Callable[[str, str], bool] | None:
        if self._overrides("send_message"):
            return self._user.send_message
        steps = self._pool.client_context.dialect.http_steps
        return self._post if steps is not None and steps.say is not None else None

    def _post(self, room: str, text: str) -> bool:
        post = self._steps.post if self._steps is not None else None
        return post is not None and post(room, text)

    def _overrides(self, name: str) -> bool:
        """Return whether the scenario has a step of its own, which replaces those of the dialect."""
        return getattr(self.user_class, name) is not getattr(ServerHooks, name)

    @property
    def _steps(self) -> HttpStepRunner | None:
        """What makes the HTTP requests of the dialect; None if it has none."""
        steps = self._pool.client_context.dialect.http_steps
        if self._runner is None and steps is not None:
            user = self._user
            self._runner = HttpStepRunner(steps, user.account, lambda: user.http, self._pool.room_setups)
        return self._runner

    def reconnect_backoff(self) -> Backoff:
        return self._user.reconnect_backoff()

    def credentials(self, rooms: Sequence[str]) -> Credentials | None:
        if self._steps is not None and not self._overrides("login"):
            return self._steps.credentials(rooms)
        try:
            return self._user.login()
        except Exception as error:
            self._count_exception(error)
            raise ClientError("login failed") from error

    def prepare_join(self, room: str, conversation: Conversation) -> bool:
        if self._steps is not None and not self._overrides("join_room"):
            return self._steps.prepare_join(room, conversation)
        try:
            joined = self._user.join_room(room)
        except Exception as error:
            self._count_exception(error)
            raise ClientError("join failed") from error
        if not joined:
            raise ClientError("join refused")
        return self._overrides("join_room")


class BlockingActionError(Exception):
    """An action waits, but its class is not `blocking`."""


class ScheduledUser(ChatUser):
    """A user that acts at due times, which do not depend on the speed of the server (an open model).

    An action that begins late keeps its due time, from which latencies are measured.

        class Reporter(ScheduledUser):
            schedule = rate(0.2)
            blocking = True

            def act(self):
                self.client.upload(size=64_000)

    Attributes:
        schedule: when the user acts: `rate(...)`, `poisson(...)`, or an iterable of due times in seconds from the
            start of the user, in ascending order. It may be a method that returns one. An item may also be a due time
            and the function to call in place of `act`.
        blocking: whether an action may wait, as `upload`, `request` and HTTP requests do. Actions that only call `say`,
            `typing`, `ping` or `send` need not. They then run in the event loop, which saves a greenlet switch each.
    """

    abstract: bool = True
    schedule: Schedule | Callable[[], Schedule] = ()
    blocking: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if any(one is not ScheduledUser.follow_schedule for one in cls.tasks):
            raise TypeError(
                f"{cls.__name__} is a ScheduledUser and cannot have tasks: override `act`, or derive it from ChatUser"
            )
        if cls.wait_time is not ScheduledUser.wait_time:
            raise TypeError(
                f"{cls.__name__} is a ScheduledUser, whose `schedule` sets the times: remove `wait_time`, or derive it "
                "from ChatUser"
            )
        if isinstance(cls.schedule, Iterator):
            raise TypeError(
                f"{cls.__name__} has an iterator as `schedule`, which would end after its first user: give a list, or "
                "a method that returns it"
            )

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._actions: Iterator[ScheduledAction] | None = None
        self._next: ScheduledAction | None = None  # of a blocking user
        self._began = 0
        self._has_stopped = False  # by an action

    def act(self) -> None:
        """Perform the due action: by default, send a chat message."""
        self.chat.say()

    @task
    def follow_schedule(self) -> None:
        """Perform the next action if it is due. Locust then waits for the one after it."""
        if self._actions is None:
            session = self._start()
            self._began = monotonic_ns()
            self._actions = self._scheduled_actions()
            if self.blocking:
                self._next = next(self._actions, None)
            else:
                session.follow(self, self._actions)
        due = self._next
        if due is not None and self._began + due.at <= monotonic_ns():
            self._next = next(self._actions, None)
            try:
                self.chat.due = self._began + due.at
                due.action()
            finally:
                self.chat.due = 0

    def wait_time(self) -> float:
        """Return the seconds until the next action of a blocking user is due."""
        if self._next is None:
            return _NOTHING_DUE_SECONDS
        return max(0.0, (self._began + self._next.at - monotonic_ns()) / SECOND)

    def _scheduled_actions(self) -> Iterator[ScheduledAction]:
        try:
            for item in self.schedule() if callable(self.schedule) else self.schedule:
                at, action = item if isinstance(item, tuple) else (item, self.act)
                yield ScheduledAction(round(at * SECOND), action)
        except Exception as error:  # noqa: BLE001 # the schedule is code of the scenario
            self._handle_exception(error)

    def perform(self, action: Callable[[], Any], intended: int) -> None:
        """Perform an action that was due at `intended` (monotonic nanoseconds); called by the scheduler in the hub."""
        if self._has_stopped:
            return
        chat = self.chat
        chat.due = intended
        try:
            action()
        except Exception as error:  # noqa: BLE001 # an action is code of the scenario
            self._handle_exception(error)
        finally:
            chat.due = 0

    def _handle_exception(self, error: Exception) -> None:
        """Handle an exception of an action or a schedule as Locust does for tasks; may run in the hub."""
        if isinstance(error, StopUser | StopTest):
            self._has_stopped = True
            gevent.spawn(self.stop, force=True)
        elif isinstance(error, BlockingSwitchOutError):
            name = type(self).__name__
            self._count_exception(
                BlockingActionError(f"an action of {name} waits: set `blocking = True` in its class").with_traceback(
                    error.__traceback__
                )
            )
        else:
            self._count_exception(error)
