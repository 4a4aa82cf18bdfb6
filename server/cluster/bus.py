"""The bus: NATS core, as one server process sees it.

Everything takes effect in the order it was asked for: what cannot be done at once, as subscriptions cannot, waits in
one queue for one task, and what is published meanwhile waits behind it.

A NATS client may stay connected, healthy by its own word, and hear nothing; so each beat a second, small connection
sends this node something on the way its messages come in, and hears something on the way they go out. Only as long as
both arrive is the bus called connected. Connections that stay silent are given up for new ones: a network that was cut
for long and is whole again would be waited for, by TCP, as long again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
import structlog
from nats.errors import Error

from server.cluster.membership import BEAT_SECONDS, BEATS_MISSED
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
_PULSE: Final = struct.Struct("d")
"""The moment of sending, on the sender's own clock."""

_SILENT_SECONDS: Final = (BEATS_MISSED - 0.2) * BEAT_SECONDS
"""Time without a pulse after which the bus is silent: whoever asks is to hear of it within three beats."""

_GIVE_UP_SECONDS: Final = 2 * BEATS_MISSED * BEAT_SECONDS
"""Silence after which connections are given up. TCP tries again after 0.2 s, then each time twice as late as before:
until then it is not much later than a new connection would be."""

_CONFIRM_TOGETHER: Final = 64
"""Subscriptions after which the server is asked whether it has taken note, while more wait."""


_Work = tuple[str, str, bytes]
"""What to do (publish, subscribe or unsubscribe), subject, payload."""


class Bus:
    """One node's connections to NATS.

    Args:
        url: `nats://` or `tls://`, with user and password or a token in it if the server wants them.
        credentials: file with a user's JWT and seed, or None.
        node: id of this node.
        clock: monotonic seconds.
        tasks: keeps the sender running.
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
        self._main = NatsClient(self._take)
        self._pulse = NatsClient(self._take_pulse_out)
        self._inward, self._outward = f"{node_subject(node)}.in", f"{node_subject(node)}.out"  # where pulses go
        self._subscriptions: dict[str, Subscription] = {}
        # Who waits for a subscription to take effect; by subject, a list for each subscription that was asked for.
        self._unconfirmed: defaultdict[str, deque[list[Callable[[], None]]]] = defaultdict(deque)
        self._queue: asyncio.Queue[_Work] = asyncio.Queue()
        self._failed_subscription: _Work | None = None  # to be tried again before all else
        self._new_subjects: list[str] = []  # subscriptions that the server may not have taken note of
        self._queued_bytes = 0
        self._undone = 0  # of what was put into the queue
        self._sender: asyncio.Task[None] | None = None
        self._pulse_in = self._pulse_out = self._connected_at = clock()
        self._looked_at = self._woke_at = clock()
        self._delay = 0.0
        self._is_away = False
        self._receive: Callable[[str, bytes], None]
        self._returned: Callable[[], None]

    @property
    def max_payload(self) -> int:
        """Bytes that one message may have."""
        return int(self._main.max_payload)

    @property
    def is_connected(self) -> bool:
        """Whether this node has heard itself lately, on both ways, or could not for it was asleep."""
        self.look()  # whoever asks first after a sleep
        return (
            bool(self._main.is_connected)
            and self._failed_subscription is None
            and self._clock() - self._heard_at < _SILENT_SECONDS
        )

    @property
    def delay(self) -> float:
        """Seconds that messages wait on their way in: as the last pulse did, or as long as the next is overdue."""
        return max(self._delay, self._clock() - self._pulse_in - BEAT_SECONDS)

    @property
    def backlog(self) -> int:
        """Bytes that wait to be sent."""
        return self._queued_bytes + int(self._main.pending_data_size)

    async def start(self, *, receive: Callable[[str, bytes], None], returned: Callable[[], None]) -> None:
        """Connect.

        Args:
            receive: takes subject and payload of everything heard.
            returned: called when the bus is back after it was away.

        Raises:
            SettingsError: there is no such bus, or it does not let us in.
        """
        self._receive, self._returned = receive, returned
        for client, name in ((self._main, "messages"), (self._pulse, "pulse")):
            await self._connect(client, name)
        await self._main.subscribe(self._inward)
        await self._pulse.subscribe(self._outward)
        await self._pulse.flush()
        self._pulse_in = self._pulse_out = self._clock()
        self._sender = asyncio.create_task(self._tasks.keep_running("bus_sender", self._work_off))

    async def stop(self) -> None:
        """Send what waits, and let go."""
        if self._sender is not None:
            with contextlib.suppress(Error, OSError, TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._queue.join()
                    await self._main.flush()
            self._sender.cancel()
        for client in (self._main, self._pulse):
            # RuntimeError: uvloop's word for a connection that is away while the client still has something to say.
            with contextlib.suppress(Error, OSError, TimeoutError, RuntimeError):
                async with asyncio.timeout(BEAT_SECONDS):  # what is unsent may never be taken
                    await client.close()

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send messages, each a subject and a payload, after all that waits.

        One that is larger than the server takes is not sent: the server would close the connection for it.
        """
        most = self._main.max_payload
        for _, payload in messages:
            if len(payload) > most:
                log.error("message too large for the bus", size=len(payload), most=most)
                messages = [message for message in messages if len(message[1]) <= most]
        if not self._undone and self._main.publish_now(messages):
            return
        for subject, payload in messages:
            self._queued_bytes += len(payload)
            self._do("publish", subject, payload)

    def subscribe(self, subject: str) -> None:
        """Hear a subject from now on."""
        self._unconfirmed[subject].append([])
        self._do("subscribe", subject)

    def once_subscribed(self, subject: str, callback: Callable[[], None]) -> None:
        """Call back when a subscription has taken effect; without a bus there is nothing to wait for."""
        if self.is_connected and subject in self._unconfirmed:
            self._unconfirmed[subject][-1].append(callback)
        else:
            callback()

    def unsubscribe(self, subject: str) -> None:
        """Hear a subject no longer."""
        self._do("unsubscribe", subject)

    def look(self) -> None:
        """Notice that this node was itself asleep, and has heard nothing for that; call several times a beat.

        It then has another round to hear itself: once, until it has.
        """
        now = self._clock()
        if now - self._looked_at > BEAT_SECONDS and self._woke_at <= min(self._pulse_in, self._pulse_out):
            self._woke_at = now
        self._looked_at = now

    async def beat(self) -> None:
        """Send this node a pulse on both ways, and look for those sent before; call once a beat."""
        await self._send_pulses()
        self._note_state()
        for client in (self._main, self._pulse):
            client.resume_reconnecting()
            if self._clock() - max(self._heard_at, self._connected_at) >= _GIVE_UP_SECONDS:
                client.give_up()

    async def _send_pulses(self) -> None:
        for client, subject in ((self._pulse, self._inward), (self._main, self._outward)):
            if client.is_connected:
                # With much unsent, the client would wait for long; a timeout is an OSError.
                with contextlib.suppress(Error, OSError):
                    async with asyncio.timeout(BEAT_SECONDS / 4):
                        await client.publish(subject, _PULSE.pack(self._clock()))

    @property
    def _heard_at(self) -> float:
        """When both ways were last known to be open, or not known to be shut."""
        return max(min(self._pulse_in, self._pulse_out), self._woke_at)

    def _note_state(self) -> None:
        """See whether the bus has gone, or is back."""
        if self.is_connected is self._is_away:
            self._is_away = not self._is_away
            if self._is_away:
                log.error("bus silent")
            else:
                log.info("bus back")
                self._returned()

    async def _connect(self, client: NatsClient, name: str) -> None:
        options: dict[str, Any] = {}
        if self._credentials is not None:
            options["user_credentials"] = str(self._credentials)
        if urlsplit(self._url).scheme == "tls":
            options["tls"] = ssl.create_default_context()
        try:
            # The first connection is made, or fails, at once; a later one is tried for as long as it takes.
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
                    error_cb=self._complain,
                    reconnected_cb=self._note_connection,
                    **options,
                )
        except (Error, OSError, TimeoutError, ValueError) as error:
            raise SettingsError(f"cannot connect to the bus at {_shown(self._url)}: {_reason(error)}") from None

    async def _note_connection(self) -> None:
        """Remember that a connection is new, and give it a pulse to show that it works."""
        self._connected_at = self._clock()
        await self._send_pulses()

    async def _complain(self, error: Exception) -> None:
        """Log what went wrong, unless it is the connection: that is told by the beats."""
        if not isinstance(error, OSError | Error):
            log.error("bus", **exception_fields(error))

    def _take(self, subject: str, payload: bytes) -> None:
        try:
            if subject == self._inward:
                self._take_pulse_in(payload)
            else:
                self._receive(subject, payload)
        except (msgspec.DecodeError, struct.error):
            log.warning("not a message of ours on the bus", subject=subject, size=len(payload))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next message has to be read
            log.error("bus", **exception_fields(error))  # noqa: TRY400 - told by kind and place, it may quote the message

    def _take_pulse_in(self, payload: bytes) -> None:
        (sent_at,) = _PULSE.unpack(payload)
        self._pulse_in = self._clock()
        self._delay = self._pulse_in - sent_at
        self._note_state()

    def _take_pulse_out(self, _subject: str, _payload: bytes) -> None:
        self._pulse_out = self._clock()
        self._note_state()

    def _do(self, what: str, subject: str, payload: bytes = b"") -> None:
        self._undone += 1
        self._queue.put_nowait((what, subject, payload))

    async def _work_off(self) -> None:
        """Do what waits in the queue, in its order.

        An unexpected error costs a publication; a subscription is tried again when `BackgroundTasks` calls this again,
        for without it this node would miss what it is subscribed to.
        """
        while True:
            work = self._failed_subscription or await self._queue.get()
            try:
                await self._perform(*work)
            except Exception:
                if work[0] == "subscribe":
                    self._failed_subscription = work
                else:
                    self._finish(work)
                raise
            self._failed_subscription = None
            if self._new_subjects and (self._queue.empty() or len(self._new_subjects) >= _CONFIRM_TOGETHER):
                subjects, self._new_subjects = self._new_subjects, []
                await self._confirm(subjects)
            self._finish(work)

    async def _perform(self, what: str, subject: str, payload: bytes) -> None:
        with contextlib.suppress(Error, OSError):  # the connection is away; it comes back, and so do we
            if what == "publish":
                await self._main.publish(subject, payload)
            elif what == "subscribe":
                self._subscriptions[subject] = await self._main.subscribe(subject)
            elif (subscription := self._subscriptions.pop(subject, None)) is not None:
                await subscription.unsubscribe()
        if what == "subscribe":
            self._new_subjects.append(subject)

    def _finish(self, work: _Work) -> None:
        self._queued_bytes -= len(work[2])
        self._queue.task_done()
        self._undone -= 1

    async def _confirm(self, subjects: list[str]) -> None:
        """Ask the server for an answer: with it, it has taken note of all that was sent before."""
        try:
            await self._main.flush(_CONNECT_SECONDS)
        except (Error, OSError):
            pass  # the connection is away: there is nothing to wait for
        except Exception as error:  # noqa: BLE001 - who waits for the confirmation must not wait for ever
            self._tasks.record_failure("bus_sender", error)
        for subject in subjects:
            for callback in self._unconfirmed[subject].popleft():
                self._tasks.run_guarded("bus_sender", callback)
            if not self._unconfirmed[subject]:
                del self._unconfirmed[subject]


def _shown(url: str) -> str:
    """Return a URL without what is secret in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, TimeoutError):
        return "no answer"
    return str(error).removeprefix("nats: ") or type(error).__name__
