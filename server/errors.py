"""The exceptions of this package, and three tables: close reasons, error codes and refused tokens.

StampedeError                root of all exceptions of this package
+-- SettingsError            a flag, an environment variable or a file is unusable: one line, exit code 2
+-- TokenError               a request's token is missing or not valid: no upgrade
+-- RequestError             a client's message cannot be served: answered with `error`, the connection stays open
    +-- InvalidMessageError  the message is malformed; its text is always 'Invalid message format'
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


@dataclass(frozen=True, slots=True)
class CloseRow:
    """One row of the table of close reasons.

    Attributes:
        label: value of the metric label `reason`.
        code: WebSocket close code; the server does not send it for `client` and `vanished`.
        may_reconnect: whether a client may reconnect without changing its behaviour.
        meaning: description for the documentation.
    """

    label: str
    code: int
    may_reconnect: bool
    meaning: str


class CloseReason(Enum):
    """Every way in which a connection ends."""

    CLIENT = CloseRow("client", 1000, True, "the client sent a close frame")
    VANISHED = CloseRow("vanished", 1006, True, "the transport was lost without a close frame")
    DRAIN = CloseRow("drain", 1012, True, "the server shuts down; the reason has the reconnect delay: retry_ms=...")
    POLICY = CloseRow("policy", 1008, False, "the client kept exceeding its rate limit")
    PROTOCOL = CloseRow("protocol_error", 1002, False, "the client violated RFC 6455")
    INVALID_DATA = CloseRow("invalid_data", 1007, False, "a text message that is not UTF-8")
    TOO_BIG = CloseRow("too_big", 1009, False, "a message above the size limit")
    INTERNAL = CloseRow("internal_error", 1011, True, "an error in the server; the log has the cause")
    SLOW_CONSUMER = CloseRow("slow_consumer", 1013, True, "the client did not read its messages")
    HEARTBEAT = CloseRow("heartbeat", 1006, True, "no data arrived within the heartbeat timeout")

    @property
    def label(self) -> str:
        """Value of the metric label `reason`."""
        return self.value.label

    @property
    def code(self) -> int:
        """WebSocket close code."""
        return self.value.code


REASON_BY_SENT_CODE: Final = {
    reason.code: reason
    for reason in (CloseReason.PROTOCOL, CloseReason.INVALID_DATA, CloseReason.TOO_BIG, CloseReason.INTERNAL)
}


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of the tables of error codes and refused tokens: the `code` and `message` that a client receives."""

    code: str
    message: str


_MALFORMED = "Invalid message format"


class _ErrorTable(Enum):
    """Base of the tables of error codes and refused tokens."""

    _value_: ErrorRow

    @property
    def code(self) -> str:
        """The `code` field, for programs."""
        return self.value.code

    @property
    def message(self) -> str:
        """The `message` field, for people."""
        return self.value.message


class ErrorCode(_ErrorTable):
    """Every `error` message; the codes are also metric labels."""

    INVALID_JSON = ErrorRow("invalid_json", _MALFORMED)
    NOT_AN_OBJECT = ErrorRow("not_an_object", _MALFORMED)
    MISSING_TYPE = ErrorRow("missing_type", _MALFORMED)
    UNKNOWN_TYPE = ErrorRow("unknown_type", _MALFORMED)
    INVALID_FIELD = ErrorRow("invalid_field", _MALFORMED)
    TOO_LARGE = ErrorRow("too_large", _MALFORMED)
    NO_ROOM = ErrorRow("no_room", "Join a room before sending to it")
    RATE_LIMITED = ErrorRow("rate_limited", "Too many messages; this one was dropped")
    NAME_BLANK = ErrorRow("name_blank", "A name needs a visible character")
    NAME_INVISIBLE = ErrorRow("name_invisible", "A name may not have invisible or direction-changing characters")
    NAME_FIXED = ErrorRow("name_fixed", "The name comes from the token and cannot be changed")
    RECEIVE_ONLY = ErrorRow("receive_only", "This path only sends notifications and accepts no messages")
    UPLOAD_ACTIVE = ErrorRow("upload_active", "An upload is already in progress on this connection")
    UPLOAD_MISSING = ErrorRow("upload_missing", "No upload is in progress on this connection")
    UPLOAD_TOO_LARGE = ErrorRow("upload_too_large", "The file is larger than this server accepts")
    UPLOAD_LIMIT = ErrorRow("upload_limit", "Too many uploads are in progress on this server; try again later")
    UPLOAD_BUDGET = ErrorRow("upload_budget", "This server has no disk space left for a file of that size")
    UPLOAD_CHUNK = ErrorRow("upload_chunk", "A chunk was out of range, repeated or of the wrong length; upload dropped")
    UPLOAD_INCOMPLETE = ErrorRow("upload_incomplete", "Chunks are missing; upload dropped")
    UPLOAD_IDLE = ErrorRow("upload_idle", "No chunk arrived within the timeout; upload dropped")
    UPLOAD_STORAGE = ErrorRow("upload_storage", "The file could not be stored")


class TokenFault(_ErrorTable):
    """Every reason for which a token is refused."""

    MISSING = ErrorRow("token_missing", "A token is needed")
    EXPIRED = ErrorRow("token_expired", "The token has expired")
    EARLY = ErrorRow("token_early", "The token is not valid yet; compare the clocks")
    AUDIENCE = ErrorRow("token_audience", "The token is for another audience")
    ISSUER = ErrorRow("token_issuer", "The token is from another issuer")
    NAME = ErrorRow("token_name", "The token names no usable user")
    INVALID = ErrorRow("token_invalid", "The token is not valid")


class StampedeError(Exception):
    """Root of the exceptions of this package."""


class SettingsError(StampedeError):
    """A setting is unusable; the text is one line that names the change to make."""


class TokenError(StampedeError):
    """A request's token is missing or not valid.

    Attributes:
        fault: row of the table of refused tokens.
    """

    def __init__(self, fault: TokenFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class RequestError(StampedeError):
    """A client's message cannot be served.

    Attributes:
        error: row of the table of error codes.
        about: `type` of the refused message, or None if it has no known type.
    """

    def __init__(self, error: ErrorCode, about: str | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.about = about


class InvalidMessageError(RequestError):
    """A message is not JSON, not an object, of no known type, or has fields of the wrong type or size."""
