"""The load generator of a test: chat users, their ledger and latencies, without Locust."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Self, TypeVar

from stampede.check.start import check_exchange
from stampede.client.context import DEFAULT_JOIN_GRACE
from stampede.dialect_registry import DEFAULT, load_dialect
from stampede.errors import LoadGeneratorWarning, StampedeError, ThresholdError
from stampede.generator.chat_run import ChatRun
from stampede.generator.client_proxy import for_other_threads
from stampede.generator.hub_thread import HubThread
from stampede.generator.results import DeliveryLatency, Durations, Ledger, StormOutcome
from stampede.generator.threshold_check import problem_in
from stampede.ledger.stamp import SIZE
from stampede.measure.address_pairs import AddressPair, address_pairs
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.request_names import DELIVER, METHOD, row_of
from stampede.pool.user_pool import PoolSettings
from stampede.redaction import redact
from stampede.verdict.slo import parse_slo, split_slos
from stampede.waiting import wait_until
from stampede.websocket.endpoint import parse_endpoints
from stampede.websocket.errors import ClientError
from stampede.websocket.headers import Header, all_headers, parse_header
from stampede.websocket.target import join_url, resolve
from stampede.workload.accounts import account_of
from stampede.workload.placement import Partition, RoomPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from stampede.client.client import ChatClient
    from stampede.dialects.base import Dialect
    from stampede.measure.figures import Figures
    from stampede.websocket.target import Target

T = TypeVar("T")


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
    Runs shorter than a second are not judged.

    Args:
        url: of the chat endpoint, such as ws://127.0.0.1:8080.
        token: bearer token of all users.
        headers: of each upgrade request, as a mapping or as texts such as `Cookie: id=7`.
        verify: whether to verify the certificate of a wss server.
        ca_file: trusted certificates (PEM), in place of the system's.
        seed: of all random choices, such as who is dropped in a storm.
        message_bytes: length of a message's text when `say` is called without one.
        reconnect: whether users replace a lost connection, as in a load test.
        dialect: the wire protocol of the server: a `Dialect`, or the name of one, a file or `module:Class` as in
            `--dialect`; by default that of the bundled server.
        join_grace: seconds after which a user counts as joined, if the server does not confirm joins.
        connect_to: addresses such as `10.0.0.1:8080,10.0.0.2:8080` to connect to, in place of those of the URL's name;
            the members of each room are spread over them.

    Attributes:
        callback_errors: exceptions of callbacks; the end of the block raises the first one.

    Raises:
        StampedeError: an option is unusable, or, at the begin of the block, the host is unknown or the server fails the
            check by which the echo is discovered.
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
        dialect: Dialect | str = DEFAULT,
        join_grace: float = DEFAULT_JOIN_GRACE,
        connect_to: str = "",
    ) -> None:
        if message_bytes < SIZE:
            raise StampedeError(f"message_bytes {message_bytes}: at least {SIZE}, the length of a message's time stamp")
        self._dialect = load_dialect(dialect)
        limit = self._dialect.max_message_bytes
        if limit is not None and message_bytes > limit:
            raise StampedeError(
                f"message_bytes {message_bytes}: a text of the {self._dialect.name} dialect has {limit} bytes at most"
            )
        if self._dialect.http_steps is not None:
            raise StampedeError(
                f"dialect {self._dialect.name}: its HTTP requests need users of Locust; a LoadGenerator makes none"
            )
        self.url = join_url(url, self._dialect.path, "url")
        self._headers = _checked_headers(headers, token)
        self._verify, self._ca_file = verify, ca_file
        try:
            self._connect_to = parse_endpoints(connect_to)
        except ValueError as error:
            raise StampedeError(f"connect_to: {error}") from None
        accounts = () if token is None else ({"token": token},)
        self._dialect.check_columns(() if token is None else ("token",))
        self._settings = PoolSettings(
            RoomPlan(None, 1),
            Partition(0, 1),
            message_bytes,
            seed,
            accounts,
            reconnect,
            join_grace=join_grace,
        )
        self.callback_errors: list[Exception] = []
        self._thread: HubThread | None = None
        self._run: ChatRun | None = None
        self._final: Figures | None = None
        self._began = self._seconds = 0.0
        self._has_reported = False

    # --- begin and end ---

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise StampedeError("a LoadGenerator can be used once: create another one")
        self._began = monotonic()
        self._thread = HubThread()
        try:
            self._run = self._thread.call(self._open)
        except BaseException:
            self._thread.stop()
            raise
        return self

    def _open(self) -> ChatRun:
        try:
            target = resolve(
                self.url,
                verify=self._verify,
                ca_file=self._ca_file,
                headers=self._headers,
                connect_to=self._connect_to,
            )
        except ClientError as error:
            raise StampedeError(f"cannot connect to {redact(self.url)}: {error}") from error
        return ChatRun(self._settings, target, self._dialect, self.callback_errors.append, echoes=self._echoes(target))

    def _echoes(self, target: Target) -> bool | None:
        """Return whether the server sends a chat message to its sender, too; discover it if the dialect says so."""
        if self._dialect.echoes is not None:
            return self._dialect.echoes
        first, second = (account_of(number, self._settings.accounts) for number in range(2))
        return check_exchange(target, self._dialect, (first, second), self._settings.join_grace)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        thread, run = self._started
        try:
            self._final = thread.call(lambda: run.close(waits=error is None))
        finally:
            thread.stop()
            self._seconds = monotonic() - self._began
        if error is not None:
            return
        for problem in () if self._has_reported else run.problems:
            warnings.warn(f"The load generator was the limit: {problem}", LoadGeneratorWarning, stacklevel=2)
        self.raise_callback_error()

    def raise_callback_error(self) -> None:
        """Raise the first exception of a callback (`client.on`) that has not been raised yet, if there is one."""
        if self.callback_errors:
            raise self.callback_errors.pop(0)

    @property
    def _started(self) -> tuple[HubThread, ChatRun]:
        if self._thread is None or self._run is None:
            raise StampedeError("the load generator has not started: use it in a `with` statement")
        return self._thread, self._run

    def _call(self, function: Callable[[ChatRun], T]) -> T:
        """Run a function in the load generator's thread; return its result or raise its exception."""
        thread, run = self._started
        return thread.call(lambda: function(run))

    # --- users ---

    def join(self, room: str, users: int = 1) -> list[ChatClient]:
        """Connect users and join a room; return their clients when all are in it.

        The clients may be used in any thread. Their methods wait for the load generator's thread, and measure from the
        moment of the call. Functions given to `on` and `request` run in that thread, so they must not wait.

        Raises:
            JoinError: a user could not join. Then none of these users stays.
        """
        thread, run = self._started
        sessions = thread.call(lambda: run.join(room, users))
        return [for_other_threads(session.client, thread.call) for session in sessions]

    def storm(self, share: float = 1.0, timeout: float = 30.0) -> StormOutcome:
        """Drop a share of all users at once by a TCP reset; return when they have resynced, or after `timeout` seconds.

        A dropped user reconnects after a random part of half a second, and has resynced with its first delivery, or
        with a pong if no other user writes to its room.
        """
        return self._call(lambda run: run.storm(share, timeout))

    # --- waiting ---

    def drain(self, timeout: float = 10.0) -> bool:
        """Wait until no message is queued or in flight, `timeout` seconds at most; return whether none is missing.

        A delivery that takes longer than five to ten seconds is lost, as in a load test. What is in flight at the end
        of the block is lost. Without `drain`, the block first waits until no delivery has arrived for three seconds.
        """
        return self._call(lambda run: run.drain(timeout))

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10.0) -> bool:
        """Wait until a condition holds, such as `lambda: not ann.is_connected`; return whether it holds in time.

        The condition is called in the load generator's thread, so it must not wait.
        """
        return self._call(lambda _: wait_until(condition, timeout))

    # --- results ---

    @property
    def figures(self) -> Figures:
        """All figures at this moment, or at the end of the block. Durations are in nanoseconds."""
        return self._final if self._final is not None else self._call(lambda run: run.figures())

    @property
    def ledger(self) -> Ledger:
        """Deliveries: expected, received, lost, duplicated, reordered, in flight."""
        return Ledger.of(self.figures.deliveries)

    @property
    def address_pairs(self) -> list[AddressPair]:
        """Deliveries by the addresses of sender and receiver; none if all users are at one address."""
        return address_pairs(self.figures.address_pairs)

    @property
    def latency(self) -> DeliveryLatency:
        """Latency of the deliveries, in seconds."""
        return DeliveryLatency(self.figures.latency)

    def latency_of(self, name: str) -> Durations:
        """Return the durations of a request that succeeded: `connect`, `join`, `ping`, `upload`, or an own name."""
        return Durations(self.figures.times_of(name) or LogLinearHistogram())

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
        return self._started[1].problems

    def check(self, *thresholds: str) -> None:
        """Check thresholds of the load test, such as `deliver_p99<250ms`, `loss<0.1%` or `look around:p99<200ms`.

        Before the end of the block, this waits for deliveries as the end does; those in flight then count as lost.

        Raises:
            ThresholdError: a threshold is not met or unmeasured, or the load generator was the limit. It is an
                `AssertionError`, too.
            SloError: a text is no threshold.
        """
        __tracebackhide__ = True
        slos = [parse_slo(slo, "threshold") for text in thresholds for slo in split_slos(text)]
        figures = self._final if self._final is not None else self._call(lambda run: run.judge())
        seconds = self._seconds or monotonic() - self._began
        self._has_reported = bool(self.problems)
        problem = problem_in(figures, slos, seconds, self.problems)
        if problem is not None:
            raise ThresholdError(problem)


def _checked_headers(headers: Mapping[str, str] | Iterable[str], token: str | None) -> tuple[Header, ...]:
    """Return the headers of each upgrade request, without the token.

    Raises:
        StampedeError: a header or the token is unusable.
    """
    texts = [f"{name}: {value}" for name, value in headers.items()] if isinstance(headers, Mapping) else headers
    try:
        if token is not None:
            parse_header(f"Authorization: Bearer {token}")
        return all_headers(texts, None, has_token=token is not None)
    except ValueError as error:
        raise StampedeError(f"headers: {error}") from None
