"""How received messages are recognised: by values at paths in JSON, or by a piece of their text; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from stampede.dialects.placeholders import TextTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Path: TypeAlias = tuple[str, ...]

MISSING: Final = object()
"""Stands for a value that a message does not have."""

_decode: Final = msgspec.json.Decoder().decode
_WORD: Final = re.compile(r"[A-Za-z0-9_-]+")
_IN_MATCHES: Final[Mapping[str, str]] = {"n": r"\d+", "uuid": "[0-9a-fA-F-]{36}"}


class Received:
    """A received message; its JSON is decoded once, when a match asks for it."""

    __slots__ = ("_json", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self._json: Any = self  # until it is decoded

    @property
    def json(self) -> Any:
        """The decoded JSON; `MISSING` if the message is not JSON."""
        if self._json is self:
            try:
                self._json = _decode(self.payload)
            except (msgspec.DecodeError, RecursionError):
                self._json = MISSING
        return self._json

    @property
    def text(self) -> str:
        """The message as text."""
        return self.payload.decode(errors="replace")

    def find(self, path: Path) -> Any:
        """Return the value at a path, or `MISSING`. A string on the way may contain JSON."""
        value = self.json
        for part in path:
            if isinstance(value, str):
                value = Received(value.encode(errors="replace")).json
            if isinstance(value, dict):
                value = value.get(part, MISSING)
            elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            else:
                return MISSING
        return value

    def find_text(self, path: Path) -> str | None:
        """Return the string, number or boolean at a path as text; None if there is none."""
        value = self.find(path)
        return text_of(value) if isinstance(value, str | int | float) else None

    def message(self) -> dict[str, Any]:
        """Return the message as scenarios wait for it: a dictionary with a `type`."""
        content = self.json
        if isinstance(content, dict):
            return {"type": "", **content}
        return {"type": "", "content": self.text if content is MISSING else content}


def text_of(value: str | float) -> str:
    """Return a JSON scalar as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class PathMatch:
    """Recognises a message by values at paths.

    Attributes:
        conditions: paths, and the values there: None for any value, a template for a string with placeholders (a number
            with these digits is equal to it), or a scalar.
    """

    conditions: tuple[tuple[Path, TextTemplate | str | float | None], ...]

    @property
    def templates(self) -> list[tuple[Path, TextTemplate]]:
        """The conditions with placeholders."""
        return [(path, value) for path, value in self.conditions if isinstance(value, TextTemplate)]

    @property
    def names(self) -> frozenset[str]:
        """Names of the placeholders."""
        return frozenset[str]().union(*(template.names for _, template in self.templates))

    def matches(self, received: Received, values: Mapping[str, str]) -> bool:
        """Return whether a message has all these values."""
        for path, value in self.conditions:  # noqa: SIM110 # in the hot path, where `all` costs 1 us more
            if not _is_equal(received.find(path), value, values):
                return False
        return True

    def may_match(self) -> Callable[[bytes], bool]:
        """Return a fast function that is false only for messages that cannot match.

        It looks for the quoted names and values of the match, which no serializer escapes if they are plain words.
        """
        # Values come first: most messages lack them, so that the search ends there.
        texts = [value for path, value in self.conditions if isinstance(value, str) and len(path) == 1]
        texts += [path[0] for path, _ in self.conditions if not path[0].isdecimal()]
        words = [f'"{text}"'.encode() for text in texts if _WORD.fullmatch(text)]

        def may_match(payload: bytes) -> bool:
            for word in words:  # noqa: SIM110 # see `matches`
                if word not in payload:
                    return False
            return True

        return may_match

    def excludes(self, other: Match) -> bool:
        """Return whether no message matches both."""
        if not isinstance(other, PathMatch):
            return False
        mine, its = ({p: v for p, v in one.conditions if isinstance(v, str | int)} for one in (self, other))
        return any(its[path] != value for path, value in mine.items() if path in its)

    def split(self) -> tuple[PathMatch, PathMatch]:
        """Return the conditions without placeholders, and those with some."""
        fixed = tuple(one for one in self.conditions if not isinstance(one[1], TextTemplate))
        return PathMatch(fixed), PathMatch(tuple(self.templates))

    def __str__(self) -> str:
        return ", ".join(f"{'.'.join(path)} = {'*' if value is None else value}" for path, value in self.conditions)


def _is_equal(found: Any, expected: TextTemplate | str | float | None, values: Mapping[str, str]) -> bool:
    if expected is None:
        return found is not MISSING
    if isinstance(expected, TextTemplate):
        return isinstance(found, str | int | float) and text_of(found) == expected.fill(values)
    return isinstance(found, bool) == isinstance(expected, bool) and bool(found == expected)


@dataclass(frozen=True, slots=True)
class TextMatch:
    """Recognises a message by its text; all that is given must hold.

    Attributes:
        prefix: begin of the text.
        contains: piece of the text.
        regex: regular expression that is searched in the text.
    """

    prefix: TextTemplate | None = None
    contains: TextTemplate | None = None
    regex: TextTemplate | None = None

    @property
    def _given(self) -> dict[str, TextTemplate]:
        given = {"prefix": self.prefix, "contains": self.contains, "regex": self.regex}
        return {kind: template for kind, template in given.items() if template is not None}

    @property
    def names(self) -> frozenset[str]:
        """Names of the placeholders."""
        return frozenset[str]().union(*(template.names for template in self._given.values()))

    def matches(self, received: Received, values: Mapping[str, str]) -> bool:
        """Return whether a message has this text."""
        text = received.text
        return all(pattern.search(text) for pattern in self.patterns(values))

    @property
    def fixed_prefix(self) -> bytes | None:
        """The prefix, if it is all that is given and has no placeholders."""
        if self.prefix is None or len(self._given) > 1 or self.prefix.names:
            return None
        return str(self.prefix).encode()

    def may_match(self) -> Callable[[bytes], bool]:
        """Return a fast function that is false only for messages that cannot match."""
        prefix = self.fixed_prefix
        if prefix is not None:
            return lambda payload: payload.startswith(prefix)
        return bool

    def excludes(self, other: Match) -> bool:
        """Return whether no message matches both."""
        mine, its = self.fixed_prefix, other.fixed_prefix if isinstance(other, TextMatch) else None
        return mine is not None and its is not None and not (mine.startswith(its) or its.startswith(mine))

    def patterns(self, values: Mapping[str, str]) -> list[re.Pattern[str]]:
        """Return the regular expressions of this match; `n` and `uuid` are groups if they have no value."""
        found = []
        for kind, template in self._given.items():
            keep = str if kind == "regex" else re.escape
            start = r"\A" if kind == "prefix" else ""
            found.append(re.compile(start + template.map(keep, lambda name: _pattern(name, values)), re.DOTALL))
        return found

    def __str__(self) -> str:
        return ", ".join(f"{kind} = {template}" for kind, template in self._given.items())


def _pattern(name: str, values: Mapping[str, str]) -> str:
    """Return the regular expression of a placeholder."""
    if name in values:
        return re.escape(values[name])
    return f"(?P<{name}>{_IN_MATCHES[name]})" if name in _IN_MATCHES else re.escape(f"{{{name}}}")


Match: TypeAlias = PathMatch | TextMatch
