"""The load generator of a test: chat users, their ledger and latencies, without Locust."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, Self, TypeVar

import gevent

from stampede.errors import JoinError, LoadGeneratorWarning, StampedeError
from stampede.generator.client_proxy import for_other_threads
from stampede.generator.health_watch import HealthWatch
from stampede.generator.hub_thread import HubThread
from stampede.generator.results import DeliveryLatency, Durations, Ledger, StormOutcome
from stampede.ledger.stamp import SIZE
from stampede.measure.measures import Request
from stampede.measure.request_names import DELIVER, METHOD, row_of
from stampede.measure.storm import Manner
from stampede.measure.storm_results import results
from stampede.pool.user_pool import QUIET_SECONDS, PoolSettings, UserPool
from stampede.redaction import redact
from stampede.websocket.errors import ClientError
from stampede.websocket.headers import all_headers, parse_header
from stampede.websocket.target import join_url, resolve
from stampede.workload.backoff import DEFAULT_BACKOFF, Backoff
from stampede.workload.placement import Partition, RoomPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from stampede.client.client import ChatClient
    from stampede.client.credentials import Credentials
    from stampede.dialects.base import Dialect
    from stampede.measure.figures import Figures
    from stampede.pool.session import Session

T = TypeVar("T")

_POLL_SECONDS: Final = 0.005


class _TestUser:
    """A user without tasks: the test acts for it."""

    post = None

    @property
    def user_class(self) -> type:
        """The class of all users."""
        return type(self)

    def reconnect_backoff(self) -> Backoff:
        """Return the policy of the next reconnect."""
        return DEFAULT_BACKOFF

    def credentials(self) -> Credentials | None:
        """Return None: the user connects with the token of the load generator."""
        return None

    def prepare_join(self, room: str) -> None:
        """Do nothing: the join needs no preparation."""


class LoadGenerator:
    """Chat users for a test, with the ledger and the latencies of a load test.

        with LoadGenerator("ws://127.0.0.1:8080") as generator:
            ann, bob = generator.join("room", users=2)
            ann.say("hello")
            generator.drain(timeout=5)
        assert generator.ledger.received == 1 and not generator.ledger.lost
        assert generator.latency.quantile(0.99) < 0.250

    The users run in a thread of their own, with a gevent hub; nothing is monkey-patched. Deliveries are therefore timed
    and pings answered also while the test sleeps or waits. A test that computes shares Python's interpreter lock with
    this thread, and delays it by up to 5 ms at a time (`sys.getswitchinterval`). A process that gevent has patched, as
    Locust does, works too.

    If the load generator itself was at a limit, leaving the block issues a `LoadGeneratorWarning` for each problem.
    Runs shorter than a second are not judged. The end of the block raises the first exception of a callback
    (`client.on`).

    Args:
        url: of the chat endpoint, such as ws://127.0.0.1:8080.
        token: bearer token of all users.
        headers: of each upgrade request, as a mapping or as texts such as `Cookie: id=7`.
        verify: whether to verify the certificate of a wss server.
        ca_file: trusted certificates (PEM), in place of the system's.
        seed: of all random choices, such as who is dropped in a storm.
        message_bytes: length of a message's text when `say` is called without one.
        reconnect: whether users replace a lost connection, as in a load test.
        dialect: the wire protocol of the server; by default that of the bundled one.

    Raises:
        StampedeError: an option is unusable, or, at the begin of the block, the host is unknown.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | Iterable[str] = (),
        verify: bool = True,
        ca_file: str | None = None,
        seed: int = 1,
        message_bytes: int = 64,
        reconnect: bool = True,
        dialect: Dialect | None = None,
    ) -> None:
        if message_bytes < SIZE:
            raise StampedeError(f"message_bytes {message_bytes}: at least {SIZE}, the length of a message's time stamp")
        texts = [f"{name}: {value}" for name, value in headers.items()] if isinstance(headers, Mapping) else headers
        try:
            if token is not None:
                parse_header(f"Authorization: Bearer {token}")
            checked = all_headers(texts, None, has_token=token is not None)
        except ValueError as error:
            raise StampedeError(f"headers: {error}") from None
        self.url = join_url(url, "/", "url")
        self._resolve = partial(resolve, self.url, verify=verify, ca_file=ca_file, headers=checked)
        accounts = () if token is None else ({"token": token},)
        self._settings = PoolSettings(RoomPlan(None, 1), Partition(0, 1), message_bytes, seed, accounts, reconnect)
        self._dialect = dialect
        self._user = _TestUser()
        self._sessions: list[Session] = []
        self._callback_errors: list[Exception] = []
        self._thread: HubThread | None = None
        self._pool: UserPool | None = None
        self._watch: HealthWatch | None = None
        self._final: Figures | None = None
        self._storms = 0
        self._drained_at = -1  # messages due when `drain` ended

    # --- begin and end ---

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise StampedeError("a LoadGenerator can be used once: create another one")
        self._thread = HubThread()
        try:
            self._call(self._open)
        except BaseException:
            self._stop()
            raise
        return self

    def _stop(self) -> None:
        if self._thread is not None:
            self._thread.stop()

    def _open(self) -> None:
        try:
            target = self._resolve()
        except ClientError as error:
            raise StampedeError(f"cannot connect to {redact(self.url)}: {error}") from error
        self._pool = UserPool(self._settings, target, iter(()), self._dialect, self._callback_errors.append)
        self._watch = HealthWatch(self._pool)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._call(lambda: self._close(waits=error is None))
        finally:
            self._stop()
        if error is not None:
            return
        for problem in self.problems:
            warnings.warn(f"The load generator was the limit: {problem}", LoadGeneratorWarning, stacklevel=2)
        if self._callback_errors:
            raise self._callback_errors[0]

    def _close(self, *, waits: bool) -> None:
        pool = self._started
        try:
            waits = waits and pool.measures.sends.intended != self._drained_at
            pool.drain(QUIET_SECONDS if waits else 0)
            if self._watch is not None:
                self._watch.conclude()
            self._remove(self._sessions)
            # Second copies may arrive until the connections are closed.
            self._final = self._figures()
        finally:
            pool.close()

    @property
    def _started(self) -> UserPool:
        if self._pool is None:
            raise StampedeError("the load generator has not started: use it in a `with` statement")
        return self._pool

    def _call(self, function: Callable[[], T]) -> T:
        """Run a function in the load generator's thread; return its result or raise its exception."""
        if self._thread is None:
            raise StampedeError("the load generator has not started: use it in a `with` statement")
        return self._thread.call(function)

    # --- users ---

    def join(self, room: str, users: int = 1) -> list[ChatClient]:
        """Connect users and join a room; return their clients when all are in it.

        The clients may be used in any thread. Their methods wait for the load generator's thread, and measure from the
        moment of the call. Functions given to `on` and `request` run in that thread, so they must not wait.

        Raises:
            JoinError: a user could not join. Then none of these users stays.
        """
        sessions = self._call(lambda: self._join(room, users))
        return [for_other_threads(session.client, self._call) for session in sessions]

    def _join(self, room: str, users: int) -> list[Session]:
        pool = self._started
        sessions = [pool.add_user(self._user, room) for _ in range(users)]
        self._sessions += sessions
        attempts = [gevent.spawn(_try_connect, session) for session in sessions]
        gevent.joinall(attempts)
        errors = [attempt.value for attempt in attempts if attempt.value is not None]
        if errors:
            self._remove(sessions)
            others = f" ({len(errors)} of {users} users failed)" if users > 1 else ""
            error = errors[0]
            raise JoinError(error.label, f"cannot join {room!r} at {redact(self.url)}: {error}{others}") from error
        return sessions

    def _remove(self, sessions: list[Session]) -> None:
        pool = self._started
        gevent.joinall([pool.spawn(partial(pool.remove_user, session)) for session in sessions])
        self._sessions = [session for session in self._sessions if session not in sessions]

    def storm(self, share: float = 1.0, timeout: float = 30.0) -> StormOutcome:
        """Drop a share of all users at once by a TCP reset; return when they have resynced, or after `timeout` seconds.

        A dropped user reconnects after a random part of half a second, and has resynced with its first delivery, or
        with a pong if nobody else writes to its room.
        """
        return self._call(lambda: self._storm(share, timeout))

    def _storm(self, share: float, timeout: float) -> StormOutcome:
        pool = self._started
        self._storms += 1
        pool.storm(self._storms, share, Manner.ABRUPT)
        _wait(lambda: results(pool.storm_parts())[-1].over, timeout)
        return StormOutcome.of(results(pool.storm_parts(final=True))[-1])

    # --- waiting ---

    def drain(self, timeout: float = 10.0) -> bool:
        """Wait until no message is queued or in flight, `timeout` seconds at most; return whether all have arrived.

        A delivery that takes longer than five to ten seconds is lost, as in a load test. What is in flight at the end
        of the block is lost; without `drain`, the block first waits until no delivery has arrived for three seconds.
        """
        return self._call(lambda: self._drain(timeout))

    def _drain(self, timeout: float) -> bool:
        measures = self._started.measures
        deliveries = measures.deliveries
        ended = _wait(lambda: not deliveries.in_flight and not measures.waiting, timeout)
        self._drained_at = measures.sends.intended
        return ended and not deliveries.lost

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10.0) -> bool:
        """Wait until a condition holds, such as `lambda: not ann.is_connected`; return whether it holds in time.

        The condition is called in the load generator's thread, so it must not wait.
        """
        return self._call(lambda: _wait(condition, timeout))

    # --- results ---

    @property
    def figures(self) -> Figures:
        """All figures at this moment, or at the end of the block. Durations are in nanoseconds."""
        if self._final is not None:
            return self._final
        return self._call(self._figures)

    def _figures(self) -> Figures:
        pool = self._started
        sizes = pool.room_sizes
        return pool.measures.figures(
            users=len(self._sessions), connections=len(pool.reactor), ready=sum(sizes), rooms=len(sizes)
        )

    @property
    def ledger(self) -> Ledger:
        """Deliveries: expected, received, lost, duplicated, reordered, in flight."""
        return Ledger.of(self.figures.deliveries)

    @property
    def latency(self) -> DeliveryLatency:
        """Latency of the deliveries, in seconds."""
        return DeliveryLatency(self.figures.latency)

    def latency_of(self, name: str) -> Durations:
        """Return the durations of a request that succeeded: `connect`, `join`, `ping`, `upload`, or an own name."""
        request = self._started.measures.requests.get(name, Request())
        return Durations(request.times.copy() if self._final is not None else self._call(request.times.copy))

    @property
    def failures(self) -> dict[str, dict[str, int]]:
        """Failed requests by name and reason, such as `{"connect": {"connection lost: 1012": 2}}`."""
        return {
            row.removeprefix(f"{METHOD} "): dict(counts.reasons)
            for row, counts in self.figures.requests.items()
            if counts.failures and row != row_of(DELIVER)
        }

    @property
    def problems(self) -> list[str]:
        """Limits of the load generator and its machine that were reached: the results are then not usable."""
        return [] if self._watch is None else self._watch.problems


def _try_connect(session: Session) -> ClientError | None:
    """Connect and join once; return why that failed."""
    try:
        session.try_connect()
    except ClientError as error:
        return error
    return None


def _wait(condition: Callable[[], bool], timeout: float) -> bool:
    """Let other greenlets run until a condition holds, `timeout` seconds at most; return whether it holds."""
    deadline = monotonic() + timeout
    while not condition() and monotonic() < deadline:
        gevent.sleep(_POLL_SECONDS)
    return condition()
