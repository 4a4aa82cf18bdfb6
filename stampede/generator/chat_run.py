"""The users of one load generator; all of it runs in the load generator's thread."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import gevent

from stampede.client.user_steps import NoSteps
from stampede.errors import JoinError
from stampede.generator.health_watch import HealthWatch
from stampede.generator.results import StormOutcome
from stampede.measure.storm import Manner
from stampede.measure.storm_results import results
from stampede.pool.session import JOIN_TIMEOUT
from stampede.pool.user_pool import MAX_DRAIN_SECONDS, QUIET_SECONDS, UserPool
from stampede.redaction import redact
from stampede.waiting import wait_until
from stampede.websocket.errors import ClientError
from stampede.workload.backoff import DEFAULT_BACKOFF, Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.dialects.base import Dialect
    from stampede.measure.figures import Figures
    from stampede.pool.session import Session
    from stampede.pool.user_pool import PoolSettings
    from stampede.websocket.target import Target


class _TestUser(NoSteps):
    """A user without tasks: the test acts for it."""

    @property
    def user_class(self) -> type:
        """The class of all users."""
        return type(self)

    def reconnect_backoff(self) -> Backoff:
        """Return the policy of the next reconnect."""
        return DEFAULT_BACKOFF


class ChatRun:
    """The users of one load generator, their ledger and latencies.

    Args:
        settings: of the pool.
        target: the server.
        dialect: its wire protocol.
        on_error: called with an exception of a callback.
        echoes: whether the server sends a chat message to its sender, too.
    """

    def __init__(
        self,
        settings: PoolSettings,
        target: Target,
        dialect: Dialect,
        on_error: Callable[[Exception], None],
        *,
        echoes: bool | None,
    ) -> None:
        self._pool = UserPool(settings, target, iter(()), dialect, on_error, echoes=echoes)
        self._user = _TestUser()
        self._sessions: list[Session] = []
        self._watch = HealthWatch(self._pool)
        self._storms = 0
        self._drained_at = -1  # messages that had been due when `drain` ended

    # --- users ---

    def join(self, room: str, users: int) -> list[Session]:
        """Connect users and join a room.

        Raises:
            JoinError: a user could not join. Then none of these users stays.
        """
        sessions = [self._pool.add_user(self._user, room) for _ in range(users)]
        self._sessions += sessions
        attempts = [gevent.spawn(_try_connect, session) for session in sessions]
        gevent.joinall(attempts)
        errors = [attempt.value for attempt in attempts if attempt.value is not None]
        if errors:
            self._remove(sessions)
            error, url = errors[0], redact(self._pool.target.url)
            others = f" ({len(errors)} of {users} users failed)" if users > 1 else ""
            raise JoinError(error.label, f"cannot join {room!r} at {url}: {error}{others}") from error
        if not self._pool.client_context.dialect.acknowledges_joins:
            wait_until(lambda: all(session.connection.is_ready for session in sessions), JOIN_TIMEOUT)
        return sessions

    def _remove(self, sessions: list[Session]) -> None:
        gevent.joinall([self._pool.spawn(partial(self._pool.remove_user, session)) for session in sessions])
        self._sessions = [session for session in self._sessions if session not in sessions]

    def storm(self, share: float, timeout: float) -> StormOutcome:
        """Drop a share of all users, and wait until they have resynced, `timeout` seconds at most."""
        pool = self._pool
        self._storms += 1
        pool.storm(self._storms, share, Manner.ABRUPT)
        wait_until(lambda: results(pool.storms.parts())[-1].over, timeout)
        return StormOutcome.of(results(pool.storms.parts(final=True))[-1])

    # --- the end ---

    @property
    def _has_arrived(self) -> bool:
        """Whether no message is queued or in flight."""
        measures = self._pool.measures
        return not measures.deliveries.in_flight and not measures.waiting

    def drain(self, timeout: float) -> bool:
        """Wait until no message is queued or in flight, `timeout` seconds at most; return whether none is lost."""
        ended = wait_until(lambda: self._has_arrived, timeout)
        self._drained_at = self._pool.measures.sends.intended
        return ended and not self._pool.measures.deliveries.lost

    @property
    def _quiet_seconds(self) -> float:
        """How long to wait for a further delivery; not at all if `drain` has waited for all messages."""
        return QUIET_SECONDS if self._pool.measures.sends.intended != self._drained_at else 0

    def judge(self) -> Figures:
        """Wait as at the end; return the figures as if the run ended now."""
        measures, deadline = self._pool.measures, monotonic() + MAX_DRAIN_SECONDS
        received, quiet = -1, self._quiet_seconds
        while measures.deliveries.received != received and monotonic() < deadline:
            received = measures.deliveries.received
            self._await_delivery(received, quiet)
        self._watch.judge()
        figures = self.figures()
        counts = figures.deliveries
        return replace(figures, deliveries=replace(counts, lost=counts.lost + counts.in_flight))

    def _await_delivery(self, received: int, timeout: float) -> None:
        """Wait until there are more deliveries than `received`, or until none is awaited."""
        measures = self._pool.measures
        wait_until(lambda: self._has_arrived or measures.deliveries.received != received, timeout)

    def close(self, *, waits: bool) -> Figures:
        """End the run; return its figures.

        Args:
            waits: whether to wait for deliveries in flight.
        """
        try:
            self._pool.drain(self._quiet_seconds if waits else 0)
            self._watch.judge()
            self._remove(self._sessions)
            return self.figures()  # second copies may arrive until the connections are closed
        finally:
            self._watch.close()
            self._pool.close()

    # --- results ---

    def figures(self) -> Figures:
        """Return a copy of the figures."""
        occupancy = self._pool.occupancy
        return self._pool.measures.figures(
            users=len(self._sessions),
            connections=len(self._pool.reactor),
            ready=occupancy.ready,
            members=occupancy.members,
            timed_users=self._pool.batch_reader.timed_users,
            rooms=occupancy.rooms,
        )

    @property
    def problems(self) -> list[str]:
        """Why the results are not usable."""
        return self._watch.problems


def _try_connect(session: Session) -> ClientError | None:
    """Connect and join once; return why that failed."""
    try:
        session.try_connect()
    except ClientError as error:
        return error
    return None
