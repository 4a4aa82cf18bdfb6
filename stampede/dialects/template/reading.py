"""Reads the tables of a TOML file. Each mistake ends in one line with file, key and what is expected; pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from stampede.dialects.template.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Sequence

_KINDS: Final = {
    bool: "true or false",
    str: "a text in quotes",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    list: "a list",
}


def kind_of(value: object) -> str:
    """Return what a TOML value is, in words."""
    return next((words for kind, words in _KINDS.items() if isinstance(value, kind)), "a date or a time")


class Table:
    """A table of a file, whose values are read one by one; `end` reports keys that nobody has read.

    Args:
        file: name of the file.
        content: the table.
        key: of the table in the file; empty for the file's top.
    """

    def __init__(self, file: str, content: dict[str, Any], key: str = "") -> None:
        self.file = file
        self.key = key
        self._content = content
        self._known: list[str] = []

    def key_of(self, name: str) -> str:
        """Return the full key of a value."""
        return f"{self.key}.{name}" if self.key else name

    def error(self, name: str, text: str) -> TemplateError:
        """Return the error of a value; with an empty name, that of the table."""
        return TemplateError(self.file, self.key_of(name) if name else self.key, text)

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def get(self, name: str, kind: type | tuple[type, ...], expected: str = "") -> Any:
        """Return a value of a type; None if there is none.

        Raises:
            TemplateError: it has another type.
        """
        if name not in self._known:
            self._known.append(name)
        value = self._content.get(name)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if value is None or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))):
            return value
        raise self.error(name, f"expected {expected or _KINDS[kinds[0]]}, not {kind_of(value)}")

    def has_read(self, name: str) -> bool:
        """Return whether a value has been read."""
        return name in self._known

    def text(self, name: str, expected: str = "") -> str | None:
        """Return a text; None if there is none. An empty text is a mistake."""
        value: str | None = self.get(name, str, expected)
        if value == "":
            raise self.error(name, f"expected {expected or _KINDS[str]}, not an empty one")
        return value

    def one_of(self, name: str, choices: Sequence[str], default: str) -> str:
        """Return one of several texts."""
        listed = f"{', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}"
        value: str = self.get(name, str, listed) or default
        if value not in choices:
            raise self.error(name, f"expected {listed}, not {value!r}")
        return value

    def number(self, name: str, *, whole: bool = False) -> float | None:
        """Return a number above 0; None if there is none."""
        expected = f"{'a whole number' if whole else 'a number'} above 0"
        value: float | None = self.get(name, int if whole else (int, float), expected)
        if value is not None and not 0 < value < float("inf"):
            raise self.error(name, f"expected {expected}, not {value}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; empty if there is none."""
        values = self.get(name, list, "a list of texts") or []
        for value in values:
            if not isinstance(value, str) or not value:
                raise self.error(name, "expected a list of texts, such as ['a', 'b']")
        return tuple(values)

    def table(self, name: str) -> Table | None:
        """Return a table; None if there is none."""
        content = self.get(name, dict, f"a table [{self.key_of(name)}]")
        return None if content is None else Table(self.file, content, self.key_of(name))

    def text_table(self, name: str) -> dict[str, str]:
        """Return a table of texts; empty if there is none."""
        table = self.table(name)
        if table is None:
            return {}
        return {key: table.text(key) or "" for key in table.names}

    def tables(self, name: str, *, at_top: bool = True) -> list[Table]:
        """Return a list of tables, which may also be a single one; empty if there is none."""
        expected = f"tables [[{self.key_of(name)}]]" if at_top else "a list of tables"
        content = self.get(name, (list, dict), expected)
        if isinstance(content, dict):
            return [Table(self.file, content, self.key_of(name))]
        for one in content or []:
            if not isinstance(one, dict):
                raise self.error(name, f"expected {expected}, not a list with {kind_of(one)}")
        return [Table(self.file, one, f"{self.key_of(name)}[{n}]") for n, one in enumerate(content or [], 1)]

    @property
    def names(self) -> list[str]:
        """The keys of this table."""
        return list(self._content)

    @property
    def content(self) -> dict[str, Any]:
        """The table as it is."""
        return self._content

    def end(self) -> None:
        """Report the first unknown key.

        Raises:
            TemplateError: there is one.
        """
        for name in self._content:
            if name in self._known:
                continue
            near = difflib.get_close_matches(name, self._known, 1)
            advice = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(self._known)}"
            raise self.error(name, f"unknown key: {advice}")
