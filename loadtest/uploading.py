"""People who share files."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from loadtest._timeline import SECOND, Act, Due, regular
from loadtest._upload import upload
from loadtest._users import HerdUser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from loadtest._herd import Herd
    from loadtest._options import Settings
    from loadtest._session import Session

UPLOAD_EVERY: Final = 10 * SECOND


class FileUploadUser(HerdUser):
    """Upload a file every ten seconds in chunks of 64 KiB, and check the size and sha256 that come back."""

    weight = 1

    _rng: Random
    _timeline: Iterator[Due]
    _start: int
    _due: int

    def begin(self, herd: Herd, settings: Settings, session: Session) -> None:
        """Begin to share files."""
        self._rng = herd.rng("uploads", session.place)
        self._timeline = regular(UPLOAD_EVERY, self._rng, Act.UPLOAD)
        self._start = monotonic_ns()
        self._due = self._start + next(self._timeline).at

    def rest(self, herd: Herd, settings: Settings) -> None:
        """Upload whenever it is due, until the connection is lost."""
        session = self.session
        while session is not None and session.client.is_ready and not session.asked:
            session.resting = True
            self.wake.wait(max(0, self._due - monotonic_ns()) / 1e9)
            self.wake.clear()
            session = self.session
            if session is None or monotonic_ns() < self._due:
                continue
            session.resting = False
            if session.client.is_ready and not herd.draining:
                upload(session.client, herd.measures, settings.upload_bytes.draw(self._rng), self._rng)
            self._due = self._start + next(self._timeline).at
