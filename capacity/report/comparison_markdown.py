"""A comparison in Markdown, for a comment on a pull request. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from capacity.report.noise import Noise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capacity.report.compare import Comparison
    from capacity.report.comparison_rows import Row

_MARKS: Final = {"worse": "🔴", "better": "🟢"}


def comparison_markdown(found: Comparison) -> str:
    """Return a comparison as Markdown: the verdict, the figures that changed, the others folded, and cautions."""
    changed = [row for row in found.rows if (row.change and not row.is_noise) or row.decides]
    others = [row for row in found.rows if row not in changed]
    return "\n".join([*_head(found), *_changed(found, changed), *_others(found, others), *_cautions(found)])


def _head(found: Comparison) -> Iterator[str]:
    sign = "✅" if not found.worse else "⚪" if found.unjudged or found.is_doubtful else "❌"
    doubt = f", but {Noise.WITHIN} of the pairs: measure more of them" if found.is_doubtful else ""
    yield f"### {sign} Capacity: {_plain(found.verdict)}{doubt}"
    yield ""
    yield f"- before: {_plain(found.before)}"
    yield f"- after: {_plain(found.after)}"
    yield f"- of {_plain(found.question)}"
    yield ""


def _changed(found: Comparison, rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        yield "No figure changed by more than the spread."
        yield ""
        return
    yield from _table(found, rows)
    if any(row.decides for row in rows):
        yield f"**\\*** beyond the tolerance of {found.tolerance * 100:g} %"
        yield ""
    if found.pairs > 1:
        yield f"95 % interval of the mean ratio of {found.pairs} pairs: with 1 in it, a change is {Noise.WITHIN}."
        yield ""


def _others(found: Comparison, rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        figures = "figure" if len(rows) == 1 else "figures"
        yield f"<details><summary>{len(rows)} {figures} without a change beyond the spread</summary>"
        yield ""
        yield from _table(found, rows)
        yield "</details>"
        yield ""


def _cautions(found: Comparison) -> Iterator[str]:
    if found.flags:
        yield "Cautions:"
        yield ""
        yield from (f"- {_plain(flag)}" for flag in found.flags)
        yield ""


def _table(found: Comparison, rows: Sequence[Row]) -> Iterator[str]:
    has_interval = found.pairs > 1
    titles = ["figure", "before", "after", "ratio", *(["95 % interval"] if has_interval else []), "change"]
    yield f"| {' | '.join(titles)} |"
    yield f"|---|{'---:|' * (len(titles) - 2)}---|"
    for row in rows:
        cells = [row.name, row.before, row.after, row.ratio_text, *([row.interval_text] if has_interval else [])]
        yield f"| {' | '.join(map(_plain, cells))} | {_judgement(row)} |"
    yield ""


def _judgement(row: Row) -> str:
    """Return the change with its significance, such as `🔴 worse, cannot tell from one run`."""
    if not row.change:
        return ""
    star = " **\\***" if row.decides else ""
    if row.is_noise:
        return f"{row.change}{star}, {row.noise}"
    doubt = f", {row.noise}" if row.noise is Noise.UNKNOWN else ""
    return f"{_MARKS[row.change]} {row.change}{star}{doubt}"


def _plain(text: str) -> str:
    """Return a text that no renderer takes for Markdown or HTML, or for the end of a cell."""
    escaped = re.sub(r"([\\`*_\[\]|~#$@])", r"\\\1", text)
    return " ".join(escaped.replace("&", "&amp;").replace("<", "&lt;").split())
