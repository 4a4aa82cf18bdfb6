"""One traceback for an exception that thousands of users raise: the verdict counts them all."""

from __future__ import annotations

import logging
from typing import Final

_LOGGERS: Final = ("locust.user.task", "locust.user.users")


class _FirstOfEach(logging.Filter):
    """Lets a traceback through once; its text may differ from time to time, its frames do not."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        if record.levelno < logging.ERROR or not isinstance(record.args, tuple) or len(record.args) != 2:
            return True
        frames = "\n".join(line for line in str(record.args[1]).splitlines() if line.startswith(" "))
        first = frames not in self._seen
        self._seen.add(frames)
        return first


def log_each_exception_once() -> None:
    """Let Locust log the traceback of an exception in user code once, however many users raise it."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _FirstOfEach) for known in logger.filters):
            logger.addFilter(_FirstOfEach())
