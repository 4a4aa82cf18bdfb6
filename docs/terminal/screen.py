"""What a terminal shows: the lines that a program has written, live displays included. Pure."""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")
_INCOMPLETE: Final = re.compile(r"\x1b(\[[0-9;?]*)?\Z")


class Screen:
    """The lines of a terminal, with the escape sequences of their colours.

    It knows what Rich's live displays do: they move up, erase whole lines and write these again.
    """

    def __init__(self) -> None:
        self._lines = [""]
        self._row = 0
        self._at_start = True
        self._incomplete = ""

    def write(self, text: str) -> None:
        """Take output of the program, which may end inside an escape sequence."""
        text = self._incomplete + text
        self._incomplete = found[0] if (found := _INCOMPLETE.search(text)) else ""
        for token in _TOKEN.finditer(text.removesuffix(self._incomplete)):
            parameters, kind = token.groups()
            if token[0] == "\r":
                self._at_start = True
            elif token[0] == "\n":
                self._move(1)
            elif kind == "A":
                self._move(-int(parameters or 1))
            elif kind == "K":
                self._lines[self._row] = ""
            elif kind in (None, "m"):
                self._put(token[0])

    def lines(self) -> list[str]:
        """Return the lines, without empty ones at the end."""
        shown = [line.rstrip() for line in self._lines]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def _move(self, rows: int) -> None:
        self._row = max(0, self._row + rows)
        self._lines += [""] * (self._row + 1 - len(self._lines))
        self._at_start = True

    def _put(self, text: str) -> None:
        self._lines[self._row] = text if self._at_start else self._lines[self._row] + text
        self._at_start = False
