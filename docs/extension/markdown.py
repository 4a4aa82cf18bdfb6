"""Write tables in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells in Markdown."""
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: object) -> str:
    """Return a text as code, and an empty one as it is."""
    return f"`{text}`" if text not in (None, "") else ""


def codes(texts: Iterable[str]) -> str:
    """Return a list of texts as code."""
    return ", ".join(map(code, texts))


def plain(text: str) -> str:
    """Return a text of a help or of a docstring, in which single characters have no meaning in Markdown."""
    return text.replace("*", r"\*").replace("<", r"\<").replace("_", r"\_") if "`" not in text else text


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())
