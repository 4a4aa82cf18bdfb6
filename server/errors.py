"""What can go wrong, in three tables: how a connection ends, what an `error` message says, why a token is refused.

StampedeError                root of everything this package raises on purpose
+-- SettingsError            a flag, an environment variable or a file is unusable; one line, exit code 2
+-- TokenError               a request's token is missing or not valid; there is no upgrade
+-- RequestError             a client's message cannot be served; answered with `error`, the connection stays open
    +-- InvalidMessageError  the message itself is malformed; always worded 'Invalid message format'
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


@dataclass(frozen=True, slots=True)
class Ending:
    """One row of the close table.

    Attributes:
        label: value of the metric label `reason`.
        code: WebSocket close code, sent by us or - for `client` and `vanished` - by nobody.
        may_reconnect: whether a client may try again with the same behaviour.
        meaning: for the documentation and the log.
    """

    label: str
    code: int
    may_reconnect: bool
    meaning: str


class CloseReason(Enum):
    """Every way in which a connection ends: close code, metric label, whether coming back makes sense."""

    CLIENT = Ending("client", 1000, True, "the client said goodbye with a close frame")
    VANISHED = Ending("vanished", 1006, True, "the transport was lost without a close frame")
    DRAIN = Ending("drain", 1012, True, "this server restarts; the reason says when to come back: retry_ms=...")
    POLICY = Ending("policy", 1008, False, "it kept sending more than it may")
    PROTOCOL = Ending("protocol_error", 1002, False, "the client broke RFC 6455")
    INVALID_DATA = Ending("invalid_data", 1007, False, "text that is not UTF-8")
    TOO_BIG = Ending("too_big", 1009, False, "a message above the size limit")
    INTERNAL = Ending("internal_error", 1011, True, "our fault; the log has the cause")
    SLOW_CONSUMER = Ending("slow_consumer", 1013, True, "it did not read what it was sent")
    HEARTBEAT = Ending("heartbeat", 1006, True, "no byte came for the heartbeat timeout")

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
class Fault:
    """One row of the tables of errors and refused tokens: the `code` and the `message` that a client reads."""

    code: str
    message: str


_MALFORMED = "Invalid message format"


class ErrorCode(Enum):
    """Every `error` message: its `code`, which is also a metric label, and its text."""

    INVALID_JSON = Fault("invalid_json", _MALFORMED)
    NOT_AN_OBJECT = Fault("not_an_object", _MALFORMED)
    MISSING_TYPE = Fault("missing_type", _MALFORMED)
    UNKNOWN_TYPE = Fault("unknown_type", _MALFORMED)
    INVALID_FIELD = Fault("invalid_field", _MALFORMED)
    TOO_LARGE = Fault("too_large", _MALFORMED)
    NO_ROOM = Fault("no_room", "Join a room before sending to it")
    RATE_LIMITED = Fault("rate_limited", "Too many messages; this one was dropped")
    NAME_BLANK = Fault("name_blank", "A name needs a visible character")
    NAME_INVISIBLE = Fault("name_invisible", "A name may not have invisible or direction-changing characters")
    NAME_FIXED = Fault("name_fixed", "The name comes from the token and cannot be changed")
    RECEIVE_ONLY = Fault("receive_only", "This path only sends notifications; nothing is read here")
    UPLOAD_ACTIVE = Fault("upload_active", "An upload is already in progress on this connection")
    UPLOAD_MISSING = Fault("upload_missing", "No upload is in progress on this connection")
    UPLOAD_TOO_LARGE = Fault("upload_too_large", "The file is larger than this server accepts")
    UPLOAD_LIMIT = Fault("upload_limit", "Too many uploads are in progress on this server; try again later")
    UPLOAD_BUDGET = Fault("upload_budget", "This server has no room left for a file of that size")
    UPLOAD_CHUNK = Fault("upload_chunk", "A chunk was out of range, doubled or of the wrong length; upload dropped")
    UPLOAD_INCOMPLETE = Fault("upload_incomplete", "Chunks are missing; upload dropped")
    UPLOAD_IDLE = Fault("upload_idle", "No chunk came for too long; upload dropped")
    UPLOAD_STORAGE = Fault("upload_storage", "The file could not be stored")

    @property
    def code(self) -> str:
        """The `code` field of the message, and the metric label."""
        return self.value.code

    @property
    def message(self) -> str:
        """The `message` field."""
        return self.value.message


class TokenFault(Enum):
    """Every reason for which a token is refused: the `code` and the `message` that the client reads."""

    MISSING = Fault("token_missing", "A token is needed")
    EXPIRED = Fault("token_expired", "The token has expired")
    EARLY = Fault("token_early", "The token is not valid yet; compare the clocks")
    AUDIENCE = Fault("token_audience", "The token is for another audience")
    ISSUER = Fault("token_issuer", "The token is from another issuer")
    NAME = Fault("token_name", "The token names no usable user")
    INVALID = Fault("token_invalid", "The token is not valid")

    @property
    def code(self) -> str:
        """What a program compares."""
        return self.value.code

    @property
    def message(self) -> str:
        """What a person reads."""
        return self.value.message


class StampedeError(Exception):
    """Root of the exceptions that this package raises on purpose."""


class SettingsError(StampedeError):
    """A setting is unusable; its text is one line for the person who gave it."""


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
        error: row of the error table.
        about: `type` of the message in question, or None when it has none that we know.
    """

    def __init__(self, error: ErrorCode, about: str | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.about = about


class InvalidMessageError(RequestError):
    """A message is not JSON, not an object, of no known type, or has fields of the wrong type or size."""
