"""The pages of the site that are written for it: their code blocks and their commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS = ROOT / "docs"
WRITTEN = [
    DOCS / "index.md",
    *(path for part in ("tutorial", "how-to", "reference", "explanation") for path in (DOCS / part).glob("*.md")),
]
"""Other pages, and the files of the repository that a page shows, have tests of their own."""

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of a page."""

    page: str
    language: str
    text: str


def blocks(*languages: str) -> Iterator[Block]:
    """Yield the code blocks in these languages."""
    for path in sorted(WRITTEN):
        for language, text in _FENCE.findall(path.read_text()):
            if language in languages:
                yield Block(str(path.relative_to(DOCS)), language, text)


def commands() -> list[tuple[str, str]]:
    """Return the page and the text of each command, those of workflows included."""
    found = []
    for block in blocks("sh", "yaml"):
        text = re.sub(r" \\\n +", " ", block.text)
        lines = [line.strip().removeprefix("- run: ") for line in text.splitlines()]
        if block.language == "yaml":
            lines = [line for line in lines if line.startswith((".venv/", "make "))]
        found += [(block.page, re.sub(r"\s+(# .*|& # .*)$", "", line)) for line in lines if line]
    return found


def block(page: str, language: str, containing: str) -> str:
    """Return the only block of a page in a language that contains a text."""
    (found,) = [one.text for one in blocks(language) if one.page == page and containing in one.text]
    return found


def write(folder: Path, page: str, name: str, containing: str, language: str = "python") -> str:
    """Write a block into a file; return its path."""
    path = folder / name
    path.write_text(block(page, language, containing))
    return str(path)
