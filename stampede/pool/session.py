"""A virtual user: its client, which a session connects, keeps connected, and drops in storms.

A user may be dropped at any moment, also while a task waits for a reply. A temporary greenlet of the session opens a
lost or dropped connection again.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

import gevent

from stampede.client.chat_connection import ChatConnection
from stampede.client.client import ChatClient
from stampede.client.credentials import of_account, with_request
from stampede.client.poster import Poster
from stampede.health.machine import limit_of
from stampede.measure import request_names
from stampede.measure.storm import Manner
from stampede.pool.resync import Resync
from stampede.websocket.errors import ClientError, LostError
from stampede.workload.address_deal import UserAddress
from stampede.workload.schedule import SECOND, ScheduledAction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stampede.dialects.base import Conversation
    from stampede.ledger.room import Room
    from stampede.measure.storm import Storm
    from stampede.pool.interfaces import Pool, User
    from stampede.websocket.target import Target
    from stampede.workload.scheduler import Performer, ScheduleHandle

CONNECT_TIMEOUT: Final = 10.0
JOIN_TIMEOUT: Final = 10.0
LEAVE_GRACE: Final = 2.0
CLOSE_TIMEOUT: Final = 2.0


class Session:
    """A virtual user; created by `UserPool.add_user`.

    Attributes:
        place: number of the user in this process.
        user: the user of the session.
        username: name of the user in the chat, unique in the run unless users share accounts.
        account: its name as `user`, and what it logs in with: a `token`, or the columns of `--credentials`.
        connection: its connection.
        client: the chat client of the user.
        resync: measures the user's drops.
    """

    __slots__ = (
        "_address",
        "_connecting",
        "_ended",
        "_is_new",
        "_is_sender",
        "_keeper",
        "_keeps_alive",
        "_pool",
        "_poster",
        "_rooms",
        "_schedules",
        "account",
        "client",
        "connection",
        "place",
        "resync",
        "user",
        "username",
    )

    def __init__(self, pool: Pool, place: int, user: User, account: Mapping[str, str], rooms: list[Room]) -> None:
        self._pool = pool
        self._rooms = rooms
        self._schedules: list[ScheduleHandle] = []
        self._keeper: gevent.Greenlet[..., None] | None = None  # replaces a lost connection
        self._connecting = self._ended = self._is_sender = self._keeps_alive = False
        self._is_new = True  # has never been connected
        self._address = UserAddress(pool.address_deal, user.user_class.__name__)
        self.place = place
        self.user = user
        self.account = account
        self.username = account["user"]
        self.connection = ChatConnection(pool.client_context, self)
        self.resync = Resync(self.connection, pool.measures, self._rooms_are_silent)
        post = user.post
        self._poster = Poster(self.connection, pool.client_context, post) if post is not None else None
        self.client = ChatClient(self.connection, pool.client_context, self, self._poster)

    @property
    def rooms(self) -> list[str]:
        """Names of the user's rooms, the first one first."""
        return [room.name for room in self._rooms]

    # --- schedule ---

    def follow(self, performer: Performer, schedule: Iterator[ScheduledAction]) -> None:
        """Perform the actions of a schedule that starts now and continues over all connections."""
        self._schedules.append(self._pool.scheduler.add(performer, schedule, monotonic_ns()))

    def sends_messages(self) -> None:
        """Record that this user sends chat messages, so that its room mates need no pong to resync."""
        self._is_sender = True
        for room in self._rooms:
            room.senders.add(self.place)

    # --- connection ---

    def connect(self) -> None:
        """Connect and join the room; retry until that succeeds. Other users run meanwhile."""
        if self._keeper is not None:
            self._keeper.join()
        if not self._ended:
            self._connect(waits_first=False)

    def await_connection(self, timeout: float) -> None:
        """Wait until a lost or dropped connection has been replaced, `timeout` seconds at most."""
        if self._keeper is not None:
            self._keeper.join(timeout)

    def connection_lost(self, error: LostError, in_flight: int) -> None:
        """Replace a lost connection; called by the connection."""
        watch = self._pool.storms.watch
        if watch is not None and not self._ended:
            self.resync.lose(watch, error.label, self._rooms, in_flight)
        self._replace_connection()

    def _replace_connection(self, drop: Callable[[], None] | None = None) -> None:
        """Call `drop`, then connect again after the backoff, unless a greenlet connects already or users stay away."""

        def run() -> None:
            try:
                if drop is not None:
                    drop()
                if self._pool.reconnects:
                    self._connect(waits_first=True)
            finally:
                self._keeper = None

        if not (self._keeper or self._connecting or self._ended):
            self._keeper = self._pool.spawn(run)

    def _connect(self, *, waits_first: bool) -> None:
        """Connect and join; retry until that succeeds."""
        failures = 0
        self._connecting = True
        try:
            while self.connection.connection is None:
                intended = monotonic_ns()
                if failures or waits_first:
                    delay = self._delay(failures)
                    intended += round(delay * SECOND)
                    gevent.sleep(delay)
                try:
                    if not self.try_connect(intended):
                        gevent.sleep(self._pool.client_context.join_grace)
                except ClientError:
                    failures += 1
                waits_first = True
        finally:
            self._connecting = False

    def _delay(self, failures: int) -> float:
        """Return the seconds to wait before the next attempt: as the server requested, or by the user's backoff."""
        requested = self.connection.retry_after
        if requested is not None and not failures:
            return requested
        return self.user.reconnect_backoff().delay(failures, self._pool.backoff_rng)

    def try_connect(self, intended: int | None = None) -> bool:
        """Connect and join the rooms once; return whether the server has confirmed all joins.

        A limited number of users of a process connect at a time.

        Args:
            intended: when the user wanted to connect, in monotonic nanoseconds; now if omitted. The time spent waiting
                for other users to connect counts, since a slow server makes it longer.

        Raises:
            ClientError: the attempt failed and has been counted.
        """
        wanted = monotonic_ns() if intended is None else intended
        began = monotonic_ns()
        target, conversation = self._log_in()
        wanted += monotonic_ns() - began  # a login is no part of the connect
        with self._pool.connect_slots:
            if self._is_new:
                wanted += self._pool.wait_until_on_time()
            self._open(target, conversation, wanted)
            return self._enter()

    def _log_in(self) -> tuple[Target, Conversation]:
        """Return what the dialect and the user's login add to the server, and the conversation to begin there."""
        dialect = self._pool.client_context.dialect
        try:
            credentials = self.user.credentials(self.rooms) or of_account(self.account, dialect)
        except ClientError as error:
            self._pool.measures.requests[request_names.CONNECT].failed(error.label)
            raise
        values = {**self.account, **credentials.values}
        target = credentials.apply(with_request(self._pool.target, dialect.request(values, self.rooms)))
        return target, dialect.converse(values, self.rooms)

    def _open(self, target: Target, conversation: Conversation, wanted: int) -> None:
        """Open the connection; count and time that from `wanted`."""
        pool = self._pool
        if pool.is_closed:
            raise gevent.GreenletExit  # ends the greenlet of the user or the session without a traceback
        request, addresses = pool.measures.requests[request_names.CONNECT], pool.target.addresses
        preferred = self._address.choose(addresses.labels(), self.rooms)
        try:
            self.connection.open(pool.reactor, replace(target, preferred=preferred), conversation, CONNECT_TIMEOUT)
        except LostError:
            raise
        except ClientError as error:
            request.failed(error.label)
            if self.connection.connection is not None:  # refused after the handshake
                self.connection.drop()
            if error.fault is not None:
                pool.count_fault(error.fault, limit_of(error.fault))
            raise
        connected = monotonic_ns()
        self._is_new = False
        if self.connection.connection is not None:
            self._address.connected(self.connection.connection.address, addresses.labels())
        request.done(connected - wanted)
        self._keep_alive()
        self.resync.connected(connected)

    def _keep_alive(self) -> None:
        """Send the dialect's keepalive messages from now on; later calls have no effect."""
        interval = self._pool.client_context.dialect.keepalive_seconds
        if interval is not None and not self._keeps_alive:
            self._keeps_alive = True
            times = (round(number * interval * SECOND) for number in count(1))
            self.follow(self, (ScheduledAction(at, self.connection.keep_alive) for at in times))

    def perform(self, action: Callable[[], Any], intended: int) -> None:
        """Perform an action of the session's own schedule; called by the scheduler in the hub."""
        action()

    def _enter(self) -> bool:
        """Join the rooms; count and time that. Return whether the server has confirmed all joins."""
        connection, request = self.connection, self._pool.measures.requests[request_names.JOIN]
        began = monotonic_ns()
        self.resync.expect_delivery()
        try:
            confirmed = connection.rooms.enter(self._rooms, JOIN_TIMEOUT, self.user.prepare_join)
        except LostError:
            raise
        except ClientError as error:
            request.failed(error.label)
            connection.drop()
            raise
        if confirmed:
            request.done(monotonic_ns() - began)
        self.resync.request_pong()
        return confirmed

    def _rooms_are_silent(self) -> bool:
        """Whether no other user sends messages to the rooms, so that no delivery can show the resync."""
        return not any(room.senders - {self.place} for room in self._rooms)

    def disconnect(self) -> None:
        """Close the connection and stay disconnected until `connect`."""
        self.connection.is_offline = True
        self._stop_keeper()
        self.resync.abandon()
        self.connection.close(0, CLOSE_TIMEOUT)

    def _stop_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.kill()

    # --- rooms ---

    def join(self, room: str) -> bool:
        """Join a room and stay connected; return whether the server has confirmed the join, which is counted.

        Beyond the number of rooms that the dialect allows, the user leaves its first rooms.
        """
        if room in self.rooms:
            return self.connection.is_ready
        if self._pool.client_context.dialect.room_is_in_request:
            return self._reconnect_to(room)
        limit = self._pool.client_context.dialect.rooms_per_connection
        while limit is not None and len(self._rooms) >= limit:
            self.leave(self._rooms[0].name)
        joined = self._pool.room(room)
        self._rooms.append(joined)
        if self._is_sender:
            joined.senders.add(self.place)
        request = self._pool.measures.requests[request_names.JOIN]
        began = monotonic_ns()
        try:
            confirmed = self.connection.rooms.join(joined, JOIN_TIMEOUT, self.user.prepare_join)
        except LostError:
            return False
        except ClientError as error:
            self._rooms.remove(joined)
            joined.senders.discard(self.place)
            request.failed(error.label)
            return False
        if confirmed:
            request.done(monotonic_ns() - began)
        return confirmed

    def _reconnect_to(self, room: str) -> bool:
        """Move to a room that needs a connection of its own; return whether the user is in it."""
        self.connection.is_offline = True
        self._stop_keeper()
        self.connection.close(0, CLOSE_TIMEOUT)
        for left in self._rooms:
            left.senders.discard(self.place)
        self._rooms = [self._pool.room(room)]
        if self._is_sender:
            self._rooms[0].senders.add(self.place)
        try:
            return self.try_connect()
        except ClientError:
            self._replace_connection()
            return False

    def leave(self, room: str | None) -> bool:
        """Leave a room, or the first one, and stay connected; return whether the server has confirmed that."""
        left = next((one for one in self._rooms if room in (None, one.name)), None)
        if left is None:
            return False
        self._rooms.remove(left)
        left.senders.discard(self.place)
        try:
            return self.connection.rooms.leave(left.name, JOIN_TIMEOUT)
        except LostError:
            return False

    # --- drops ---

    def drop(self, manner: Manner, storm: Storm | None = None) -> None:
        """Drop the connection and connect again by the policy of the user.

        An abrupt drop happens at once and does not block. A polite one waits for the server's close frame in a separate
        greenlet.
        """
        if manner is Manner.POLITE:
            self._replace_connection(lambda: self._drop_politely(storm))
        else:
            self.resync.begin(storm)
            self.resync.dropped(self._rooms, self.connection.drop())
            self._replace_connection()

    def _drop_politely(self, storm: Storm | None) -> None:
        if self.connection.is_ready:
            self.resync.begin(storm)
            self.resync.dropped(self._rooms, self.connection.close(0, CLOSE_TIMEOUT))

    # --- end ---

    def discard_queued(self, reason: str | None = None) -> None:
        """Skip the queued messages; they count as failures of this reason, if there is one."""
        self.connection.sender.discard_queued(reason)
        if self._poster is not None:
            self._poster.discard_queued(reason)

    def end(self) -> None:
        """Stop all schedules, wait shortly for deliveries in flight, and close the connection."""
        self._ended = True
        for handle in self._schedules:
            handle.cancel()
        self._stop_keeper()
        for room in self._rooms:
            room.senders.discard(self.place)
        self.resync.abandon()
        self._address.release()
        self.discard_queued()
        self.connection.close(LEAVE_GRACE, CLOSE_TIMEOUT)
