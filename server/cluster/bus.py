"""The connections of one server process to the bus, a NATS server.

Operations take effect in the order in which they were requested. Subscriptions cannot take effect at once: they wait
in a queue for one task, and messages published meanwhile wait behind them.

A NATS client can stay connected, and report itself healthy, without receiving anything. So a second connection tests
the main connection in both directions once per heartbeat interval: it sends a probe that the main connection receives,
and receives a probe that the main connection sends. The bus counts as connected only while both probes arrive. After
too long without probes the connections are replaced, because after an outage TCP waits about as long as the outage
lasted before it retransmits.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections import defaultdict, deque
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
import structlog
from nats.errors import Error

from server.cluster.liveness import Liveness
from server.cluster.membership import HEARTBEAT_SECONDS
from server.cluster.messages import node_subject
from server.cluster.nats_client import NatsClient
from server.errors import SettingsError
from server.runtime.exception_fields import exception_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from nats.aio.subscription import Subscription

    from server.runtime.background_tasks import BackgroundTasks

log = structlog.get_logger()

_CONNECT_SECONDS: Final = 2
_RETRY_SECONDS: Final = 1
_PING_SECONDS: Final = 10
_PENDING_BYTES: Final = 1024 * 1024
_PROBE: Final = struct.Struct("d")
"""Payload of a probe: the time of sending on the sender's own clock."""

_CONFIRM_TOGETHER: Final = 64
"""Number of subscriptions after which the server must confirm them, while more wait."""


class _Action(Enum):
    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"


class _Operation(NamedTuple):
    """An operation that waits in the queue."""

    action: _Action
    subject: str
    payload: bytes = b""


class Bus:
    """One node's connections to NATS.

    Args:
        url: `nats://` or `tls://`, with user and password or a token in it if the server requires them.
        credentials: file with a user's JWT and seed, or None.
        node: id of this node.
        clock: monotonic seconds.
        tasks: keeps the queue's task running.
    """

    def __init__(
        self,
        url: str,
        credentials: Path | None,
        node: str,
        clock: Callable[[], float],
        tasks: BackgroundTasks,
    ) -> None:
        self._url = url
        self._credentials = credentials
        self._node = node
        self._clock = clock
        self._tasks = tasks
        self._main = NatsClient(self._receive)
        self._prober = NatsClient(self._receive_outbound_probe)
        self._inbound_subject = f"{node_subject(node)}.in"  # sent by the prober, received on the main connection
        self._outbound_subject = f"{node_subject(node)}.out"  # sent on the main connection, received by the prober
        self._subscriptions: dict[str, Subscription] = {}
        # Callbacks that wait for a subscription, by subject, in a list for each `subscribe` call.
        self._unconfirmed: defaultdict[str, deque[list[Callable[[], None]]]] = defaultdict(deque)
        self._queue: asyncio.Queue[_Operation] = asyncio.Queue()
        self._failed_subscription: _Operation | None = None  # retried before all other operations
        self._new_subjects: list[str] = []  # subscriptions that the server has not confirmed
        self._queued_bytes = 0
        self._unfinished = 0  # operations in the queue, and the one that is running
        self._queue_task: asyncio.Task[None] | None = None
        self._liveness = Liveness(clock())
        self._connected_at = clock()
        self._is_silent = False
        self._on_message: Callable[[str, bytes], None]
        self._on_reconnect: Callable[[], None]

    @property
    def max_payload(self) -> int:
        """Largest payload of one message in bytes."""
        return int(self._main.max_payload)

    @property
    def is_connected(self) -> bool:
        """Whether probes have arrived lately in both directions, or none could because this process was suspended."""
        return (
            bool(self._main.is_connected)
            and self._failed_subscription is None
            and not self._liveness.is_silent(self._clock())
        )

    @property
    def delay(self) -> float:
        """Seconds that inbound messages wait."""
        return self._liveness.delay(self._clock())

    @property
    def backlog(self) -> int:
        """Unsent bytes."""
        return self._queued_bytes + int(self._main.pending_data_size)

    async def start(self, *, on_message: Callable[[str, bytes], None], on_reconnect: Callable[[], None]) -> None:
        """Connect.

        Args:
            on_message: called with subject and payload of each message.
            on_reconnect: called when probes arrive again after the bus was silent.

        Raises:
            SettingsError: the server cannot be reached, or refuses the connection.
        """
        self._on_message, self._on_reconnect = on_message, on_reconnect
        for client, name in ((self._main, "messages"), (self._prober, "probe")):
            await self._connect(client, name)
        await self._main.subscribe(self._inbound_subject)
        await self._prober.subscribe(self._outbound_subject)
        await self._prober.flush()
        self._liveness.restart(self._clock())
        self._queue_task = asyncio.create_task(self._tasks.keep_running("bus_sender", self._run_queue))

    async def stop(self) -> None:
        """Send the queued messages and disconnect."""
        if self._queue_task is not None:
            with contextlib.suppress(Error, OSError, TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._queue.join()
                    await self._main.flush()
            self._queue_task.cancel()
        for client in (self._main, self._prober):
            # uvloop raises RuntimeError when the client still writes to a closed connection.
            with contextlib.suppress(Error, OSError, TimeoutError, RuntimeError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):  # unsent bytes may never be accepted
                    await client.close()

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send messages, each a subject and a payload, after the queued operations.

        A message above the server's payload limit is dropped, because the server would close the connection for it.
        """
        max_payload = self._main.max_payload
        for _, payload in messages:
            if len(payload) > max_payload:
                log.error("message too large for the bus", size=len(payload), limit=max_payload)
                messages = [message for message in messages if len(message[1]) <= max_payload]
        if not self._unfinished and self._main.publish_now(messages):
            return
        for subject, payload in messages:
            self._enqueue(_Operation(_Action.PUBLISH, subject, payload))

    def subscribe(self, subject: str) -> None:
        """Subscribe to a subject."""
        self._unconfirmed[subject].append([])
        self._enqueue(_Operation(_Action.SUBSCRIBE, subject))

    def when_subscribed(self, subject: str, callback: Callable[[], None]) -> None:
        """Call back when a subscription is active; at once if it is, or if the bus is not connected."""
        if self.is_connected and subject in self._unconfirmed:
            self._unconfirmed[subject][-1].append(callback)
        else:
            callback()

    def unsubscribe(self, subject: str) -> None:
        """End the subscription to a subject."""
        self._enqueue(_Operation(_Action.UNSUBSCRIBE, subject))

    def detect_suspend(self) -> None:
        """Extend the probe timeout if this process was suspended; call this several times per heartbeat interval."""
        self._liveness.detect_suspend(self._clock())

    async def probe(self) -> None:
        """Send a probe in both directions, and replace silent connections; call this once per heartbeat interval."""
        await self._send_probes()
        self.detect_suspend()
        self._update_state()
        for client in (self._main, self._prober):
            client.resume_reconnecting()
            if self._liveness.is_dead(self._clock(), self._connected_at):
                client.abandon_connection()

    async def _send_probes(self) -> None:
        for client, subject in ((self._prober, self._inbound_subject), (self._main, self._outbound_subject)):
            if client.is_connected:
                # With many unsent bytes the client would wait for long; a timeout is an OSError.
                with contextlib.suppress(Error, OSError):
                    async with asyncio.timeout(HEARTBEAT_SECONDS / 4):
                        await client.publish(subject, _PROBE.pack(self._clock()))

    def _update_state(self) -> None:
        """Log when the bus becomes silent, and when it is back."""
        if self.is_connected is self._is_silent:
            self._is_silent = not self._is_silent
            if self._is_silent:
                log.error("bus silent")
            else:
                log.info("bus connected again")
                self._on_reconnect()

    async def _connect(self, client: NatsClient, name: str) -> None:
        options: dict[str, Any] = {}
        if self._credentials is not None:
            options["user_credentials"] = str(self._credentials)
        if urlsplit(self._url).scheme == "tls":
            options["tls"] = ssl.create_default_context()
        try:
            # The first connection succeeds or fails within this time; a reconnection has no time limit.
            async with asyncio.timeout(2 * _CONNECT_SECONDS):
                await client.connect(
                    self._url,
                    name=f"stampede {self._node} {name}",
                    no_echo=True,
                    connect_timeout=_CONNECT_SECONDS,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RETRY_SECONDS,
                    ping_interval=_PING_SECONDS,
                    max_outstanding_pings=2,
                    pending_size=_PENDING_BYTES,
                    error_cb=self._log_error,
                    reconnected_cb=self._on_new_connection,
                    **options,
                )
        except (Error, OSError, TimeoutError, ValueError) as error:
            raise SettingsError(f"cannot connect to the bus at {_redacted(self._url)}: {_reason(error)}") from None

    async def _on_new_connection(self) -> None:
        self._connected_at = self._clock()
        await self._send_probes()

    async def _log_error(self, error: Exception) -> None:
        """Log an error of the client, except connection errors, which the probes report."""
        if not isinstance(error, OSError | Error):
            log.error("bus error", **exception_fields(error))

    def _receive(self, subject: str, payload: bytes) -> None:
        try:
            if subject == self._inbound_subject:
                self._receive_inbound_probe(payload)
            else:
                self._on_message(subject, payload)
        except (msgspec.DecodeError, struct.error):
            log.warning("foreign message on the bus ignored", subject=subject, size=len(payload))
        except Exception as error:  # noqa: BLE001 - the next message must still be received
            log.error("bus error", **exception_fields(error))  # noqa: TRY400 - a traceback might quote the message

    def _receive_inbound_probe(self, payload: bytes) -> None:
        (sent_at,) = _PROBE.unpack(payload)
        self._liveness.record_inbound(self._clock(), sent_at)
        self._update_state()

    def _receive_outbound_probe(self, _subject: str, _payload: bytes) -> None:
        self._liveness.record_outbound(self._clock())
        self._update_state()

    def _enqueue(self, operation: _Operation) -> None:
        self._unfinished += 1
        self._queued_bytes += len(operation.payload)
        self._queue.put_nowait(operation)

    async def _run_queue(self) -> None:
        """Perform the queued operations in order.

        An unexpected error loses a publication. A subscription is retried when `BackgroundTasks` calls this again:
        without it, this node would miss the messages of its subject.
        """
        while True:
            operation = self._failed_subscription or await self._queue.get()
            try:
                await self._perform(operation)
            except Exception:
                if operation.action is _Action.SUBSCRIBE:
                    self._failed_subscription = operation
                else:
                    self._finish(operation)
                raise
            self._failed_subscription = None
            if self._new_subjects and (self._queue.empty() or len(self._new_subjects) >= _CONFIRM_TOGETHER):
                subjects, self._new_subjects = self._new_subjects, []
                await self._confirm(subjects)
            self._finish(operation)

    async def _perform(self, operation: _Operation) -> None:
        action, subject, payload = operation
        with contextlib.suppress(Error, OSError):  # disconnected: the client subscribes again when it reconnects
            if action is _Action.PUBLISH:
                await self._main.publish(subject, payload)
            elif action is _Action.SUBSCRIBE:
                self._subscriptions[subject] = await self._main.subscribe(subject)
            elif (subscription := self._subscriptions.pop(subject, None)) is not None:
                await subscription.unsubscribe()
        if action is _Action.SUBSCRIBE:
            self._new_subjects.append(subject)

    def _finish(self, operation: _Operation) -> None:
        self._queued_bytes -= len(operation.payload)
        self._queue.task_done()
        self._unfinished -= 1

    async def _confirm(self, subjects: list[str]) -> None:
        """Wait for a PONG, which confirms everything sent before its PING, and run the waiting callbacks."""
        try:
            await self._main.flush(_CONNECT_SECONDS)
        except (Error, OSError):
            pass  # disconnected: no confirmation will come
        except Exception as error:  # noqa: BLE001 - the callbacks must run in any case
            self._tasks.record_failure("bus_sender", error)
        for subject in subjects:
            for callback in self._unconfirmed[subject].popleft():
                self._tasks.run_guarded("bus_sender", callback)
            if not self._unconfirmed[subject]:
                del self._unconfirmed[subject]


def _redacted(url: str) -> str:
    """Return a URL without user, password and token."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, TimeoutError):
        return "no answer"
    return str(error).removeprefix("nats: ") or type(error).__name__
