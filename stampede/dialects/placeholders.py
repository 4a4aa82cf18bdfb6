"""Texts with placeholders such as `{room}`, and how values are escaped in them; pure.

A placeholder is an identifier in braces. Braces with anything else in them, such as those of JSON, are kept.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

import msgspec

from stampede.errors import StampedeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

Escape: TypeAlias = Callable[[str], str]

TEXT: Final = "text"
ROOM: Final = "room"
NUMBER_OF_MESSAGE: Final = "n"
UUID: Final = "uuid"
PER_MESSAGE: Final = frozenset({TEXT, NUMBER_OF_MESSAGE, UUID})
"""Placeholders whose values differ from message to message."""

ALWAYS: Final = frozenset({"user", "number", ROOM}) | PER_MESSAGE
"""Placeholders that always have a value; `password` and `token` need an account or a login."""

TEXTS: Final = frozenset({TEXT, "user", "password", ROOM, "token", UUID})
"""Placeholders whose values need quotes in JSON."""

PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]+")
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def raw(text: str) -> str:
    """Return a text as it is."""
    return text


def for_json(text: str) -> str:
    """Return a text escaped for a JSON string, without the quotes."""
    return _encode(text)[1:-1].decode()


def for_json_in_json(text: str) -> str:
    """Return a text escaped for a JSON string in JSON that is itself the content of a JSON string."""
    return for_json(for_json(text))


def for_url(text: str) -> str:
    """Return a text percent-encoded for one segment of a path, a value of a query or a form."""
    return quote(text, safe="")


def for_header(text: str) -> str:
    """Return a text without the control characters that would end a header."""
    return _CONTROLS.sub(" ", text)


ESCAPES: Final[Mapping[str, Escape]] = {
    "json": for_json,
    "json2": for_json_in_json,
    "xml": html.escape,
    "url": for_url,
    "raw": raw,
}
"""The values of `escape`."""


def check_escape(escape: str) -> None:
    """Check the option `escape`.

    Raises:
        ValueError: it is none of `ESCAPES`; the text begins with its name.
    """
    if escape not in ESCAPES:
        raise ValueError(f"escape: expected one of {', '.join(ESCAPES)}")


class TextTemplate:
    """A text with placeholders.

    Args:
        parts: literal texts, and placeholders by name with the escape of their values.

    Attributes:
        names: names of the placeholders.
    """

    __slots__ = ("_parts", "names")

    def __init__(self, parts: Iterable[str | tuple[str, Escape]]) -> None:
        self._parts = tuple(part for part in parts if part)
        self.names = frozenset(part[0] for part in self._parts if isinstance(part, tuple))

    @classmethod
    def parse(cls, text: str, *escapes: Escape) -> TextTemplate:
        """Return a template; the last escape is that of all further placeholders, `raw` if there is none."""
        parts: list[str | tuple[str, Escape]] = []
        for index, part in enumerate(PLACEHOLDER.split(text)):  # literals and names in turn
            if index % 2 == 0:
                parts.append(part)
            else:
                parts.append((part, escapes[min(index // 2, len(escapes) - 1)] if escapes else raw))
        return cls(parts)

    @property
    def placeholders(self) -> list[tuple[str, Escape]]:
        """The placeholders in their order, with their escapes."""
        return [part for part in self._parts if isinstance(part, tuple)]

    def fill(self, values: Mapping[str, str], escaped_text: str | None = None) -> str:
        """Return the text with the values; a placeholder without a value stays as it is.

        Args:
            values: of the placeholders, by name.
            escaped_text: value of `{text}`, which is already escaped.
        """
        return "".join([
            part if isinstance(part, str) else _value(part, values, escaped_text) for part in self._parts
        ])  # fmt: skip

    def pieces(self, values: Mapping[str, str]) -> list[str]:
        """Return the text with the values, cut at each `{text}`: an escaped text joins the pieces."""
        pieces = [""]
        for part in self._parts:
            if isinstance(part, tuple) and part[0] == TEXT:
                pieces.append("")
            else:
                pieces[-1] += part if isinstance(part, str) else _value(part, values, None)
        return pieces

    def is_json(self) -> bool:
        """Return whether the text is JSON when it is filled in; texts must stand in quotes."""
        try:
            _decode(self.fill({name: "x" if name in TEXTS else "1" for name in self.names}))
        except msgspec.DecodeError:
            return False
        return True

    def map(self, literal: Callable[[str], str], value: Callable[[str], str]) -> str:
        """Return the text of a function of each literal and of another one of each placeholder's name."""
        return "".join(literal(part) if isinstance(part, str) else value(part[0]) for part in self._parts)

    def bind(self, values: Mapping[str, str]) -> TextTemplate:
        """Return the template with the values that are the same in all messages; the others are left to fill in."""
        known = {name: value for name, value in values.items() if name not in PER_MESSAGE}
        merged: list[str | tuple[str, Escape]] = [""]
        for part in self._parts:
            done = part[1](known[part[0]]) if isinstance(part, tuple) and part[0] in known else part
            if isinstance(done, str) and isinstance(merged[-1], str):
                merged[-1] += done
            else:
                merged.append(done)
        return TextTemplate(merged)

    def __str__(self) -> str:
        return self.fill({})


def _value(placeholder: tuple[str, Escape], values: Mapping[str, str], escaped_text: str | None) -> str:
    name, escape = placeholder
    if name == TEXT and escaped_text is not None:
        return escaped_text
    return escape(values[name]) if name in values else f"{{{name}}}"


class MissingValueError(StampedeError):
    """A placeholder has no value.

    Attributes:
        name: of the placeholder.
    """

    def __init__(self, name: str) -> None:
        advice = "--token, --token-file or a column token of --credentials"
        super().__init__(
            f"{{{name}}} has no value: give {advice if name == 'token' else f'a column {name} of --credentials'}"
        )
        self.name = name


def check_values(names: Collection[str], known: Collection[str]) -> None:
    """Check that placeholders have a value.

    Args:
        names: names of the placeholders.
        known: names of the values that there are beside those of `ALWAYS`.

    Raises:
        MissingValueError: a placeholder has none.
    """
    for name in sorted({*names} - ALWAYS):
        if name not in known:
            raise MissingValueError(name)
