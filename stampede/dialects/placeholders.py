"""Texts with placeholders in braces, such as `{"room":"{room}","text":"{text}"}`; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from xml.sax.saxutils import escape as _escape_xml

import msgspec

from stampede.errors import StampedeError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")  # what JSON has in braces begins with a quote

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def escape_json(value: str) -> str:
    """Return a value as it stands inside a JSON string."""
    return _encode(value).decode()[1:-1]


def escape_json_twice(value: str) -> str:
    """Return a value as it stands inside JSON that stands inside a JSON string."""
    return escape_json(escape_json(value))


def escape_xml(value: str) -> str:
    """Return a value as it stands in the content or in an attribute of an XML element."""
    return _escape_xml(value, {'"': "&quot;", "'": "&apos;"})


def escape_url(value: str) -> str:
    """Return a value as it stands in one part of a path, or in a query."""
    return quote(value, safe="")


def leave_raw(value: str) -> str:
    """Return the value itself."""
    return value


ESCAPES: Final = {"json": escape_json, "json2": escape_json_twice, "xml": escape_xml, "raw": leave_raw}
"""How `{text}` and the other placeholders of a message are escaped, by the name of the option."""


ALWAYS: Final = frozenset({"user", "number", "room", "text", "n"})
"""Placeholders that always have a value."""


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


def check_values(templates: Iterable[Template], names: Collection[str]) -> None:
    """Check that each placeholder of some templates has a value.

    Args:
        templates: the templates.
        names: names of the values that there are beside `ALWAYS`.

    Raises:
        MissingValueError: a placeholder has none.
    """
    for template in templates:
        for name in sorted(template.names - ALWAYS):
            if name not in names:
                raise MissingValueError(name)


class Template:
    """A text with placeholders, parsed once.

    Args:
        source: the text.
        escape: applied to each value.

    Attributes:
        names: names of the placeholders.
    """

    __slots__ = ("_escape", "_literals", "_order", "names")

    def __init__(self, source: str, escape: Callable[[str], str] = escape_json) -> None:
        parts = _PLACEHOLDER.split(source)
        self._literals = parts[::2]
        self._order = parts[1::2]
        self._escape = escape
        self.names = frozenset(self._order)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with the values.

        Raises:
            MissingValueError: a placeholder has no value.
        """
        (text,) = self.pieces(None, values)
        return text

    def pieces(self, name: str | None, values: Mapping[str, str]) -> list[str]:
        """Return the text with the values, cut at each occurrence of one placeholder.

        An escaped value of that placeholder can join the pieces: `value.join(pieces)`.

        Raises:
            MissingValueError: another placeholder has no value.
        """
        pieces = [self._literals[0]]
        for other, literal in zip(self._order, self._literals[1:], strict=True):
            if other == name:
                pieces.append(literal)
            elif other in values:
                pieces[-1] += self._escape(values[other]) + literal
            else:
                raise MissingValueError(other)
        return pieces

    def is_json(self) -> bool:
        """Return whether the text is JSON whatever the values are."""
        example = "".join(self.pieces(None, dict.fromkeys(self.names, "1")))
        try:
            _decode(example)
        except msgspec.DecodeError:
            return False
        return True
