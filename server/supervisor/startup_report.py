"""The output of a server process once it listens: lines for people, or one line of JSON for its supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VARIABLE: Final = "STAMPEDE_STARTUP_REPORT"
"""The supervisor sets this environment variable to `json` for its workers."""


class StartupReport(msgspec.Struct, frozen=True, rename="camel"):
    """Where a server process listens.

    Attributes:
        announcement: a line for people, with the URL of the server.
        metrics_address: host and port of `/metrics` as in a URL; None: it is on the public port.
    """

    announcement: str
    metrics_address: str | None = None

    def render(self, environment: Mapping[str, str]) -> str:
        """Return the report in the format that the environment variable selects, without the last newline."""
        if environment.get(FORMAT_VARIABLE) == "json":
            return msgspec.json.encode(self).decode()
        if self.metrics_address is None:
            return self.announcement
        return f"{self.announcement}\nMetrics on http://{self.metrics_address}/metrics"


def parse_startup_report(line: bytes) -> StartupReport:
    """Read a report that was rendered as JSON.

    Raises:
        msgspec.DecodeError: the line is not such a report.
    """
    return msgspec.json.decode(line, type=StartupReport)
