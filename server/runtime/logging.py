"""The log: one line per event on stderr.

Rules:

1. A line consists of a constant event name and its fields. Fields contain no message text, no token and no query
   string. An exception is logged by type and place (`server.runtime.exception_fields`), a message of a library by its
   template without the values.
2. Each event name has a token bucket. Lines above the rate are counted, and the count is logged every few seconds.
3. A thread writes the lines. If stderr is not read, lines are counted as suppressed and the event loop is not blocked.
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
"""Rate limit of one event name."""

LINES_AT_ONCE: Final = 200
"""Burst of one event name."""

NOTICE_SECONDS: Final = 5.0
"""Interval between two reports of suppressed lines."""

FLUSH_SECONDS: Final = 1.0
"""How long the end of the process waits for stderr to be read."""

LINES_WAITING: Final = 2000
"""Lines that may wait for a slow reader before more are suppressed."""

_KEY_ORDER: Final = ("timestamp", "level", "event")
_NOTICE: Final = "lines suppressed"


class EventLimiter:
    """Rate limit for the lines of each event name. Thread-safe; the time is an argument."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, TokenBucket] = {}
        self._suppressed: dict[str, int] = {}

    def allow(self, event: str, now: float) -> bool:
        """Return whether an event may be written; count it as suppressed if not."""
        with self._lock:
            bucket = self._buckets.get(event)
            if bucket is None:
                bucket = self._buckets[event] = TokenBucket(LINES_PER_SECOND, LINES_AT_ONCE)
            if bucket.take(now):
                return True
            self._suppressed[event] = self._suppressed.get(event, 0) + 1
            return False

    def suppress(self, event: str) -> None:
        """Count an event as suppressed."""
        with self._lock:
            self._suppressed[event] = self._suppressed.get(event, 0) + 1

    def take_suppressed(self) -> dict[str, int]:
        """Return the number of suppressed lines by event name since the last call."""
        with self._lock:
            suppressed, self._suppressed = self._suppressed, {}
            return suppressed


class Log:
    """A queue of log lines and the thread that writes them.

    Args:
        descriptor: file descriptor to write to; it is not closed.
        render: turns an event into a line.
        clock: returns monotonic seconds.
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

    def enqueue(self, _logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
        """Queue an event; the last of structlog's processors."""
        name = str(event["event"])
        if self._limiter.allow(name, self._clock()):
            try:
                self._lines.put_nowait(self._line(level, event))
            except queue.Full:
                self._limiter.suppress(name)
        raise structlog.DropEvent

    def close(self) -> None:
        """Write the queued lines; give up after `FLUSH_SECONDS` if the descriptor is not read."""
        self._closing = True
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=FLUSH_SECONDS)
            self._thread.join(FLUSH_SECONDS)

    def _line(self, level: str, event: MutableMapping[str, Any]) -> bytes:
        line = self._render(self._stamp(None, level, {**event, "level": level}))
        if not line.isprintable():  # a value must not break the line
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
        with contextlib.suppress(OSError):  # there is no other place to report it
            while line:
                line = line[os.write(self._descriptor, line) :]


class _LibraryHandler(logging.Handler):
    """Forward records of the standard `logging` module, without the values of their arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        fields = {"template": str(record.msg), **(exception_fields(error) if error is not None else {})}
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger().log(level, record.name, **fields)


def configure(level: str, form: str, descriptor: int) -> Log:
    """Configure structlog and `logging` to write to a file descriptor.

    Args:
        level: lowest level that is logged: debug, info, warning or error.
        form: text (logfmt) or json; both write one line per event.
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
        processors=[log.enqueue],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.INFO), handlers=[_LibraryHandler()], force=True)
    logging.getLogger("websockets").setLevel(logging.ERROR)  # its lines per connection would duplicate ours
    return log


def log_loop_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an exception of a callback or a task; an exception handler for `loop.set_exception_handler`.

    The message of the context may quote objects and so client data. It is logged only without an exception, and only
    up to the first quoted object.
    """
    error = context.get("exception")
    if isinstance(error, BaseException):
        fields = exception_fields(error)
    else:
        fields = {"template": str(context.get("message", "")).partition("<")[0].partition("(")[0].strip()}
    structlog.get_logger().error("exception in callback", **fields)


def _ordered(event: MutableMapping[str, Any]) -> dict[str, Any]:
    return {**{key: event[key] for key in _KEY_ORDER}, **event}
