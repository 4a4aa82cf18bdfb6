"""Reads the values of a file that are more than TOML: messages, matches, paths, steps; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from stampede.dialects.placeholders import (
    ESCAPES,
    NUMBER_OF_MESSAGE,
    PER_MESSAGE,
    PLACEHOLDER,
    ROOM,
    TEXT,
    TextTemplate,
)
from stampede.dialects.template.matching import Path, PathMatch, TextMatch
from stampede.dialects.template.payloads import parse_payload
from stampede.dialects.template.reading import kind_of
from stampede.dialects.template.steps import Step

if TYPE_CHECKING:
    from stampede.dialects.placeholders import Escape
    from stampede.dialects.template.errors import TemplateError
    from stampede.dialects.template.matching import Match
    from stampede.dialects.template.reading import Table

NO_TEXT: Final = frozenset({TEXT})
OF_CONNECTION: Final = frozenset({ROOM}) | PER_MESSAGE
"""Placeholders without a value in matches of the whole connection."""

OF_REQUEST: Final = frozenset({TEXT, NUMBER_OF_MESSAGE})
"""Placeholders without a value in the upgrade request and in HTTP requests."""

_TEXT_MATCHES: Final = ("prefix", "contains", "regex")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXAMPLE: Final = '{op = "message"} or {prefix = "Hello"}'


class Fields:
    """Reads values, and collects their placeholders.

    Args:
        escape: how values are escaped in messages that do not say it themselves.

    Attributes:
        uses: names of the placeholders, each with the first key that has it.
        saves: names of the values that steps save.
    """

    def __init__(self, escape: str) -> None:
        self._escape = escape
        self.uses: dict[str, str] = {}
        self.saves: set[str] = set()

    def _use(self, table: Table, name: str, text: str, without: frozenset[str]) -> None:
        """Record the placeholders of a value."""
        for placeholder in PLACEHOLDER.findall(text):
            if placeholder in without:
                where = "a value in [say] only" if placeholder == TEXT else "no value here"
                raise table.error(name, f"{{{placeholder}}} has {where}")
            self.uses.setdefault(placeholder, table.key_of(name))

    def template(
        self, table: Table, name: str, *, escape: Escape | None = None, without: frozenset[str] = NO_TEXT
    ) -> TextTemplate | None:
        """Return a text with placeholders, which are escaped all the same way; None if there is none."""
        text = table.text(name)
        if text is None:
            return None
        self._use(table, name, text, without)
        return TextTemplate.parse(text, *([escape] if escape else []))

    def message(
        self, table: Table, name: str = "send", *, without: frozenset[str] = NO_TEXT, escape: str | None = None
    ) -> TextTemplate | None:
        """Return a message; None if there is none. Its table may say how its values are escaped."""
        escape = table.one_of("escape", tuple(ESCAPES), escape or self._escape)
        text = table.text(name)
        if text is None:
            return None
        self._use(table, name, text, without)
        try:
            return parse_payload(text, escape)
        except ValueError as error:
            raise table.error(name, str(error)) from None

    def match(self, table: Table, name: str, *, without: frozenset[str] = NO_TEXT) -> Match | None:
        """Return a match; None if there is none."""
        content = table.get(name, dict, f"a match such as {_EXAMPLE}")
        if content is None:
            return None
        if not content:
            raise table.error(name, f"expected a match such as {_EXAMPLE}, not an empty table")
        if set(content) <= set(_TEXT_MATCHES):
            return self._text_match(table, name, content, without)
        conditions = []
        for path, value in _flatten(content):
            key = f"{name}.{'.'.join(path)}"
            if not all(path):
                raise table.error(key, "expected a path such as a.b or 1.event")
            if not isinstance(value, str | int | float):
                raise table.error(key, f"expected a text, a number, true or false, not {kind_of(value)}")
            conditions.append((path, self._expected(table, key, value, without)))
        return PathMatch(tuple(conditions))

    def _expected(self, table: Table, key: str, value: Any, without: frozenset[str]) -> Any:
        if not isinstance(value, str):
            return value
        self._use(table, key, value, without)
        if value == "*":
            return None
        return TextTemplate.parse(value) if PLACEHOLDER.search(value) else value

    def _text_match(self, table: Table, name: str, content: dict[str, Any], without: frozenset[str]) -> TextMatch:
        found = {}
        for kind, text in content.items():
            key = f"{name}.{kind}"
            if not isinstance(text, str) or not text:
                raise table.error(key, f"expected a text, not {kind_of(text) if text != '' else 'an empty one'}")
            self._use(table, key, text, without)
            found[kind] = TextTemplate.parse(text)
        match = TextMatch(**found)
        try:
            match.patterns(dict.fromkeys(match.names, "a"))
        except re.error as error:
            raise table.error(f"{name}.regex", f"expected a regular expression: {error}") from None
        return match

    def path(self, table: Table, name: str) -> Path | None:
        """Return a path; None if there is none."""
        text = table.text(name, "a path such as a.b or 1.event")
        return None if text is None else self.path_of(table, name, text)

    def path_of(self, table: Table, name: str, text: str) -> Path:
        """Return the path that a text is."""
        path = tuple(text.split("."))
        if not all(path):
            raise table.error(name, f"expected a path such as a.b or 1.event, not {text!r}")
        return path

    def save(self, table: Table) -> dict[str, Path]:
        """Return the paths of the values that a step saves, by the name of their placeholder."""
        found = {name: self.path_of(table, f"save.{name}", path) for name, path in table.text_table("save").items()}
        for name in found:
            self.save_name(table, name)
        return found

    def save_name(self, table: Table, name: str) -> None:
        """Record that a step saves a value under a name."""
        if not _IDENTIFIER.fullmatch(name):
            raise table.error(f"save.{name}", "expected a name of letters, digits and underscores")
        if name in {*PER_MESSAGE, ROOM}:
            raise table.error(f"save.{name}", f"{{{name}}} has a value already: expected another name")
        self.saves.add(name)

    def step(self, table: Table, *, without: frozenset[str] = NO_TEXT) -> Step:
        """Return a step of a conversation."""
        step = Step(
            table.key,
            self.message(table, without=without),
            self.match(table, "expect", without=without),
            self.match(table, "refuse", without=without),
            self.path(table, "reason"),
            self.save(table),
        )
        table.end()
        if step.send is None and step.expect is None:
            raise self.missing(table, "send, expect or both")
        if step.expect is None:
            for name, given in (("refuse", step.refuse), ("save", step.save)):
                if given:
                    raise table.error(name, "needs `expect`, the answer that ends the step")
        if step.reason is not None and step.refuse is None:
            raise table.error("reason", "needs `refuse`, the message that contains it")
        return step

    @staticmethod
    def missing(table: Table, what: str) -> TemplateError:
        """Return the error of a table that lacks something."""
        return table.error("", f"expected {what}")


def _flatten(content: dict[str, Any], start: Path = ()) -> list[tuple[Path, Any]]:
    """Return the values of a match with their paths; dotted keys without quotes are nested tables in TOML."""
    found: list[tuple[Path, Any]] = []
    for name, value in content.items():
        path = (*start, *name.split("."))
        if isinstance(value, dict) and value:
            found += _flatten(value, path)
        else:
            found.append((path, value))
    return found
