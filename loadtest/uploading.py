"""Users that upload files."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from stampede.client.sender import TOO_LATE
from stampede.client.upload import UPLOAD_INTERVAL, upload
from stampede.locust.users import ChatUser
from stampede.measure.request_names import UPLOAD
from stampede.workload.schedule import Action, DueTimes, regular

if TYPE_CHECKING:
    from stampede.pool.session import Session


class FileUploadUser(ChatUser):
    """Uploads a file every ten seconds in chunks of 64 KiB; checks the size and sha256 that the server returns.

    An upload is timed from its due time, also when a slow server or a lost connection delays it. An upload that is ten
    seconds late is skipped and counted as a failure.
    """

    weight = 1

    def on_first_join(self, session: Session) -> None:
        """Start the schedule of uploads."""
        self.file_rng = self.rng("uploads")
        self.due_times = DueTimes(regular(UPLOAD_INTERVAL, self.file_rng, Action.UPLOAD), monotonic_ns())

    def while_connected(self) -> None:
        """Upload at every due time, until the session must reconnect."""
        if self.dropped_on_purpose:
            self.due_times.skip_until(monotonic_ns())
        measures, sizes = self.pool.measures, self.settings.upload_bytes
        while self.wait_until(self.due_times.next):
            skipped = self.due_times.skip_until(monotonic_ns() - UPLOAD_INTERVAL)
            if skipped:
                measures.requests[UPLOAD].failed(TOO_LATE, skipped)
            intended = self.due_times.pop()
            if self.session is not None and not self.pool.draining:
                upload(self.session.client, measures, sizes.draw(self.file_rng), self.file_rng, intended)
