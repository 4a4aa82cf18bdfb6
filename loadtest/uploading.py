"""Users that upload files."""

from __future__ import annotations

from stampede import Feature, ScheduledUser, rate


class FileUploadUser(ScheduledUser):
    """Uploads a file every ten seconds in chunks of 64 KiB; checks the size and sha256 that the server returns.

    An upload is timed from its due time, also when a slow server or a lost connection delays it. An upload that is ten
    seconds late is skipped and counted as a failure.
    """

    weight = 1
    required_features = frozenset({Feature.UPLOAD})
    schedule = rate(1 / 10)
    blocking = True

    def on_start(self) -> None:
        """Connect, and prepare the sizes of the files."""
        super().on_start()
        self.sizes = self.rng("sizes")

    def act(self) -> None:
        """Upload a file."""
        self.chat.upload(self.settings.upload_bytes.draw(self.sizes))
