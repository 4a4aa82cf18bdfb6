"""Tables in Markdown; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def table(*titles: str) -> Iterator[str]:
    """Yield the first two lines of a table."""
    yield f"| {' | '.join(titles)} |"
    yield "|---" * len(titles) + "|"


def cell(text: str) -> str:
    """Return a text without the characters that end a cell or a row."""
    return text.replace("|", "\\|").replace("\n", " ")


def results(title: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a table of expressions and their results; nothing without rows."""
    lines = [f"| `{cell(expression)}` | {text} |" for expression, text in rows]
    if lines:
        yield from (*table(title, "result"), *lines, "")
