"""Read Markdown tables in tests that compare documents with the code."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent


def rows(document: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, without its head; code marks are stripped."""
    _, found, section = (ROOT / document).read_text().partition(f"\n{heading}\n")
    assert found, f"{document} has no heading {heading!r}"
    section = section.partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert lines, f"{document}, {heading!r}: no table"
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]
