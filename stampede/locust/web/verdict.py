"""The verdict of a run on Locust's pages: a tab and a line of the web page, and a section of the HTML report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from stampede.locust.web.templates import FOLDER, template
from stampede.verdict.section import section
from stampede.verdict.summary_data import summary_data
from stampede.verdict.verdict_words import verdict_words

if TYPE_CHECKING:
    from stampede.verdict.summary import RunResult

_BODY: Final = "<body>"
_ESCAPED: Final = "\\u003c"


def verdict_html(result: RunResult | None) -> str:
    """Return the section about a run as HTML; without a run, it says so."""
    style = (FOLDER / "verdict.css").read_text(encoding="utf-8")
    return template("verdict.html").render(shown=None if result is None else section(result), style=style)


def verdict_line(result: RunResult | None) -> dict[str, str] | None:
    """Return the verdict in one line, as `text`, and its `state`; None without a run."""
    if result is None:
        return None
    state, words = verdict_words(result)
    return {"state": state, "text": f"Verdict{'' if result.circumstances.has_ended else ' so far'}: {words}"}


def with_section(report: str, result: RunResult | None, charts: str = "") -> str:
    """Return Locust's HTML report with the section and the charts at its top, and the summary as JSON for programs.

    Locust 2.47 fills its report from fixed template arguments, and React draws it in `<div id="root">`. There is no
    argument for a section. So it is inserted into the finished page, beside that element: this needs a body only,
    and neither a copy of Locust's template nor changes in its script. In a page without one, the section is the end.
    """
    head, body, rest = report.rpartition(_BODY)
    data = msgspec.json.encode(None if result is None else summary_data(result)).decode()
    script = f'<script type="application/json" id="stampede-summary">{data.replace("<", _ESCAPED)}</script>'
    added = f"{verdict_html(result)}{charts}{script}"
    return f"{head}{body}{added}{rest}" if body else f"{report}{added}"
