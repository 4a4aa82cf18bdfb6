"""The log lines about connections: they name the client, and never quote a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from server.runtime.exception_fields import exception_fields

if TYPE_CHECKING:
    from server.errors import CloseReason
    from server.websocket.routes import AcceptedUpgrade

log = structlog.get_logger()


def log_closed(
    upgrade: AcceptedUpgrade, username: str | None, reason: CloseReason, seconds: float, **counts: int
) -> None:
    """Log the end of a connection.

    Args:
        upgrade: the request that opened it.
        username: the client's name, if it has one.
        reason: why it ended.
        seconds: how long it was open.
        counts: the bytes and messages of both directions, by their field names.
    """
    client = {"client": upgrade.address, "path": upgrade.path}
    if username is not None:
        client["username"] = username
    end = {"reason": reason.label, "code": reason.code}
    log.info("connection closed", **client, seconds=round(seconds, 3), **counts, **end)


def log_unhandled(upgrade: AcceptedUpgrade, error: Exception) -> None:
    """Log an unexpected error that ends a connection."""
    log.error("message not handled", client=upgrade.address, **exception_fields(error))
