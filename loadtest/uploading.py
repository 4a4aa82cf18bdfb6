"""People who share files."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from stampede.client.sender import TOO_LATE
from stampede.client.upload import UPLOAD_INTERVAL, upload
from stampede.locust.users import ChatUser
from stampede.measure import measures
from stampede.workload.schedule import Action, DueTimes, regular

if TYPE_CHECKING:
    from random import Random

    from stampede.locust.options import Settings
    from stampede.pool.session import Session
    from stampede.pool.user_pool import UserPool


class FileUploadUser(ChatUser):
    """Upload a file every ten seconds in chunks of 64 KiB, and check the size and sha256 that come back."""

    weight = 1

    _rng: Random
    _due_times: DueTimes
    _away_on_purpose = False

    def begin(self, pool: UserPool, settings: Settings, session: Session) -> None:
        """Begin to share files."""
        self._rng = pool.rng("uploads", session.place)
        self._due_times = DueTimes(regular(UPLOAD_INTERVAL, self._rng, Action.UPLOAD), monotonic_ns())

    def rest(self, pool: UserPool, settings: Settings) -> None:
        """Upload whenever it is due, until the connection is lost.

        One that a slow server or a lost connection holds up keeps its moment, from which it is timed. One that is later
        than a period is skipped and counted as a failure, like a chat message that cannot be sent.
        """
        if self._away_on_purpose:
            self._due_times.skip_until(monotonic_ns())
        session = self.session
        while session is not None and session.client.is_ready and not session.drop_request:
            session.is_idle = True
            self.wake.wait(max(0, self._due_times.next - monotonic_ns()) / 1e9)
            self.wake.clear()
            session = self.session
            if session is None or not session.client.is_ready or monotonic_ns() < self._due_times.next:
                continue
            skipped = self._due_times.skip_until(monotonic_ns() - UPLOAD_INTERVAL)
            if skipped:
                pool.measures.requests[measures.UPLOAD].failed(TOO_LATE, skipped)
            session.is_idle = False
            intended = self._due_times.pop()
            if not pool.draining:
                upload(session.client, pool.measures, settings.upload_bytes.draw(self._rng), self._rng, intended)
        self._away_on_purpose = session is not None and (session.client.is_offline or session.drop_request is not None)
