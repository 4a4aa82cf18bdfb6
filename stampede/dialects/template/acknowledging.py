"""Which chat message an acknowledgement is about; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from stampede.dialects.events import MAX_UNACKNOWLEDGED, Acknowledged
from stampede.dialects.placeholders import NUMBER_OF_MESSAGE, UUID
from stampede.dialects.template.matching import PathMatch

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from stampede.dialects.template.matching import Match, Received

_Key: TypeAlias = tuple[str | None, ...]

_IDENTIFYING: Final = (NUMBER_OF_MESSAGE, UUID)


class Correlation:
    """The chat messages of one connection without acknowledgement, by what identifies them: mostly `{n}` or `{uuid}`.

    Args:
        match: recognises an acknowledgement. Without placeholders, each one is about the oldest message.
    """

    __slots__ = ("_match", "_number", "_patterns", "_pending", "_values")

    def __init__(self, match: Match) -> None:
        self._match: Match = match
        self._values = PathMatch(())
        self._patterns: list[re.Pattern[str]] = []
        if isinstance(match, PathMatch):
            self._match, self._values = match.split()
        elif match.names:
            self._patterns = match.patterns({})
        self._number = 0
        self._pending: dict[_Key, list[int]] = {}

    def sent(self, values: Mapping[str, str]) -> None:
        """Record a chat message, with the values of its placeholders."""
        self._number += 1
        if self._patterns:
            key: _Key = tuple(values.get(name) for name in _IDENTIFYING if self._has(name))
        else:
            key = tuple(value.fill(values) for _, value in self._values.templates)
        if key:
            self._pending.setdefault(key, []).append(self._number)
            if len(self._pending) > MAX_UNACKNOWLEDGED:
                del self._pending[next(iter(self._pending))]

    def receive(self, received: Received) -> Acknowledged | None:
        """Return which message is acknowledged; None if the message is no acknowledgement."""
        key = self._key(received)
        if key is None:
            return None
        if not key:
            return Acknowledged(message=received.message())
        numbers = self._pending.get(key)
        if numbers is None:
            return None
        number = numbers.pop(0)
        if not numbers:
            del self._pending[key]
        return Acknowledged(number, message=received.message())

    def _key(self, received: Received) -> _Key | None:
        """Return what identifies the message that is acknowledged; None if the message is no acknowledgement."""
        if not self._patterns:
            if not self._match.matches(received, {}):
                return None
            return tuple(received.find_text(path) for path, _ in self._values.templates)
        found: dict[str, str] = {}
        for pattern in self._patterns:
            one = pattern.search(received.text)
            if one is None:
                return None
            found |= one.groupdict()
        return tuple(found.get(name) for name in _IDENTIFYING if self._has(name))

    def _has(self, name: str) -> bool:
        return any(name in pattern.groupindex for pattern in self._patterns)
