"""Requests of one connection that the server confirms by their number; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from stampede.dialects.events import MAX_UNACKNOWLEDGED, Acknowledged, Event, Joined, Left, Refused
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_UNCONFIRMED: Final = 2 * MAX_UNACKNOWLEDGED
"""The oldest request is dropped beyond that: some servers confirm none. Joins and leaves count, too."""

_FAILED: Final = frozenset({"error", "failed", "fail", "ko", "nok"})


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the server has not confirmed yet.

    Attributes:
        name: of the request, as in Locust's table.
        confirmed: what the confirmation means.
        room: name of the room; None for a message.
    """

    name: str
    confirmed: Event
    room: str | None = None


class Requests:
    """The unconfirmed requests of a connection.

    Args:
        max_number: the highest number; 1 follows it.
    """

    __slots__ = ("_last", "_max_number", "_said", "_unconfirmed")

    def __init__(self, max_number: int = 2**31) -> None:
        self._max_number = max_number
        self._last = 0
        self._said = 0
        self._unconfirmed: dict[int, Request] = {}

    def join(self, room: str) -> int:
        """Return the number of a new request that joins a room."""
        return self._add(Request(request_names.JOIN, Joined(room), room))

    def leave(self, room: str) -> int:
        """Return the number of a new request that leaves a room."""
        return self._add(Request(request_names.JOIN, Left(room), room))

    def say(self) -> int:
        """Return the number of a new request that sends a chat message."""
        self._said += 1
        return self._add(Request(request_names.SEND, Acknowledged(self._said)))

    def confirm(self, number: int, message: dict[str, Any], error: str | None) -> Event:
        """Return what the answer to a request means.

        Args:
            number: of the request.
            message: the answer.
            error: what went wrong; None if nothing did.
        """
        request = self._unconfirmed.pop(number, None)
        if request is None:
            return Event(message=message)
        if error is None:
            return replace(request.confirmed, message=message)
        return Refused(f"error: {error}", request.name, room=request.room, message=message)

    def _add(self, request: Request) -> int:
        self._last = self._last % self._max_number + 1
        self._unconfirmed[self._last] = request
        if len(self._unconfirmed) > MAX_UNCONFIRMED:
            del self._unconfirmed[next(iter(self._unconfirmed))]
        return self._last


def error_in(answer: object) -> str | None:
    """Return the error that an application reports in the first value of an answer; None if it reports none.

    There is no standard for this. An object reports an error if it has a value as `error`, if its `ok` or `success` is
    false, or if its `status` is a usual word for a failure.
    """
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if error:
        return text_of(error)
    failed = False in (answer.get("ok"), answer.get("success")) or str(answer.get("status")).lower() in _FAILED
    return text_of(answer) if failed else None


def text_of(error: object) -> str:
    """Return the text of an error, which may be an object with a message."""
    if isinstance(error, dict):
        named: Mapping[str, object] = error
        error = next((named[key] for key in ("message", "reason", "code") if named.get(key)), None)
    return "no reason given" if error is None else str(error)
