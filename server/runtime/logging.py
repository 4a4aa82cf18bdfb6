"""The log: one line an event on stderr, from anywhere in the process, and never so many that they do harm.

The laws of this file:

1. A line is an event's name, which is a constant, and its fields. No message text, no token, no query string: of an
   exception the kind and the place are told (`server.runtime.exception_fields`), of a library's message the template
   without its values.
2. Each event name has a token bucket. What is over it is counted, and the count is told every few seconds.
3. Lines are written by a thread: a log that nobody reads blocks nobody, its lines are counted as suppressed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import structlog

from server.runtime.exception_fields import exception_fields
from server.token_bucket import TokenBucket

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, MutableMapping

LINES_PER_SECOND: Final = 10
"""Lines of one event name, in the long run."""

LINES_AT_ONCE: Final = 200
NOTICE_SECONDS: Final = 5.0
"""How often it is told what was suppressed."""

FLUSH_SECONDS: Final = 1.0
"""How long the end of the process waits for a log that nobody reads."""

LINES_WAITING: Final = 2000
"""Lines that a slow reader may leave unread before more are suppressed."""

_KEY_ORDER: Final = ("timestamp", "level", "event")
_NOTICE: Final = "lines suppressed"


class EventLimiter:
    """Allow so many lines of each event name; pure but for its lock, with time as an argument."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paces: dict[str, TokenBucket] = {}
        self._suppressed: dict[str, int] = {}

    def allow(self, event: str, now: float) -> bool:
        """Tell whether an event may be written, and count it if not."""
        with self._lock:
            pace = self._paces.get(event)
            if pace is None:
                pace = self._paces[event] = TokenBucket(LINES_PER_SECOND, LINES_AT_ONCE)
            if pace.take(now):
                return True
            self._suppressed[event] = self._suppressed.get(event, 0) + 1
            return False

    def suppress(self, event: str) -> None:
        """Count an event that could not be written."""
        with self._lock:
            self._suppressed[event] = self._suppressed.get(event, 0) + 1

    def take_suppressed(self) -> dict[str, int]:
        """Return how many lines of each event were suppressed since the last call."""
        with self._lock:
            suppressed, self._suppressed = self._suppressed, {}
            return suppressed


class Log:
    """Take lines from any thread, write them from one of its own.

    Args:
        descriptor: file descriptor, written to and left open.
        render: turns an event into a line.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        descriptor: int,
        render: Callable[[MutableMapping[str, Any]], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._descriptor = descriptor
        self._render = render
        self._clock = clock
        self._stamp = structlog.processors.TimeStamper(fmt="iso")
        self._limiter = EventLimiter()
        self._lines: queue.Queue[bytes | None] = queue.Queue(LINES_WAITING)
        self._noticed_at = clock()
        self._closing = False
        self._thread = threading.Thread(target=self._write_lines, name="log", daemon=True)
        self._thread.start()

    def take(self, _logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
        """Take an event as the last of structlog's processors; it goes no further."""
        name = str(event["event"])
        if self._limiter.allow(name, self._clock()):
            try:
                self._lines.put_nowait(self._line(level, event))
            except queue.Full:
                self._limiter.suppress(name)
        raise structlog.DropEvent

    def close(self) -> None:
        """Write what waits, unless nobody reads it."""
        self._closing = True
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=FLUSH_SECONDS)
            self._thread.join(FLUSH_SECONDS)

    def _line(self, level: str, event: MutableMapping[str, Any]) -> bytes:
        line = self._render(self._stamp(None, level, {**event, "level": level}))
        if not line.isprintable():  # one event is one line, whatever a name is made of
            line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
        return (line + "\n").encode()

    def _write_lines(self) -> None:
        line: bytes | None = b""
        while line is not None and not (self._closing and self._lines.empty()):
            try:
                line = self._lines.get(timeout=NOTICE_SECONDS)
            except queue.Empty:
                line = b""
            self._write(line or b"")
            if self._clock() - self._noticed_at >= NOTICE_SECONDS:
                self._noticed_at = self._clock()
                self._write_suppressed()
        self._write_suppressed()

    def _write_suppressed(self) -> None:
        suppressed = self._limiter.take_suppressed()
        if suppressed:
            events = ", ".join(f"{event}: {count}" for event, count in suppressed.items())
            notice = {"event": _NOTICE, "count": sum(suppressed.values()), "events": events}
            self._write(self._line("warning", notice))

    def _write(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody is there to be told
            while line:
                line = line[os.write(self._descriptor, line) :]


class _LibraryHandler(logging.Handler):
    """Bring in what libraries log by the standard module, without the values that they put into it."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        fields = {"template": str(record.msg), **(exception_fields(error) if error is not None else {})}
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger().log(level, record.name, **fields)


def configure(level: str, form: str, descriptor: int) -> Log:
    """Send everything that is logged in this process to a descriptor.

    Args:
        level: debug, info, warning or error; what is below is not logged.
        form: text (logfmt) or json, one line an event in both.
        descriptor: usually that of stderr.
    """
    render: Any = (
        structlog.processors.JSONRenderer(default=str)
        if form == "json"
        else structlog.processors.LogfmtRenderer(key_order=_KEY_ORDER, drop_missing=True)
    )
    log = Log(descriptor, lambda event: str(render(None, "", _ordered(event))))
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[log.take],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.INFO), handlers=[_LibraryHandler()], force=True)
    logging.getLogger("websockets").setLevel(logging.ERROR)  # its own line per connection would double ours
    return log


def log_loop_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong in a callback or a task; an event loop's exception handler.

    Its message quotes objects, and so perhaps what a client sent: it is told up to there, and only if nothing else is.
    """
    error = context.get("exception")
    if isinstance(error, BaseException):
        fields = exception_fields(error)
    else:
        fields = {"template": str(context.get("message", "")).partition("<")[0].partition("(")[0].strip()}
    structlog.get_logger().error("exception in callback", **fields)


def _ordered(event: MutableMapping[str, Any]) -> dict[str, Any]:
    return {**{key: event[key] for key in _KEY_ORDER}, **event}
