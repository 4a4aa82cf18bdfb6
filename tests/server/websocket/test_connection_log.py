"""The log lines about connections name the client, and never quote a message."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from server.errors import CloseReason
from server.websocket.connection_log import log_closed, log_unhandled
from server.websocket.routes import ROUTES, AcceptedUpgrade

UPGRADE = AcceptedUpgrade(ROUTES["/chat"], "/chat", "192.0.2.1", None)
CLOSED: dict[str, Any] = {
    "event": "connection closed",
    "log_level": "info",
    "client": "192.0.2.1",
    "path": "/chat",
    "seconds": 1.235,
    "bytes_in": 3,
    "reason": CloseReason.DRAIN.label,
    "code": CloseReason.DRAIN.code,
}


def test_the_end_of_a_connection_is_logged_with_its_reason_and_counts() -> None:
    with capture_logs() as lines:
        log_closed(UPGRADE, None, CloseReason.DRAIN, 1.23456, bytes_in=3)
        log_closed(UPGRADE, "amy", CloseReason.DRAIN, 1.23456, bytes_in=3)
    assert lines == [CLOSED, CLOSED | {"username": "amy"}], "a client without a name has no field for it"


def test_an_unexpected_error_is_logged_without_its_text() -> None:
    with capture_logs() as lines:
        log_unhandled(UPGRADE, ValueError("what the client wrote"))
    assert lines == [
        {"event": "message not handled", "log_level": "error", "client": "192.0.2.1", "error": "ValueError"}
    ]
