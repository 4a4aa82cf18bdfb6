"""Logs an exception of user code once, even when thousands of users raise it; the verdict counts all of them."""

from __future__ import annotations

import logging
from typing import Final

_LOGGERS: Final = ("locust.user.task", "locust.user.users", "stampede.locust.exceptions")


class _FirstTracebackFilter(logging.Filter):
    """Passes the first of equal tracebacks. Their frames are compared, since the exception's text may differ."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        if record.levelno < logging.ERROR or not isinstance(record.args, tuple) or len(record.args) != 2:
            return True
        frames = "\n".join(line for line in str(record.args[1]).splitlines() if line.startswith(" "))
        is_first = frames not in self._seen
        self._seen.add(frames)
        return is_first


def log_each_exception_once() -> None:
    """Install the filter on the loggers that Locust uses for exceptions of user code."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _FirstTracebackFilter) for known in logger.filters):
            logger.addFilter(_FirstTracebackFilter())
