"""Write `report.json` and `report.html`: the same run for programs and for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import jinja2
import msgspec
from markupsafe import Markup, escape

from capacity.answer import about, count
from capacity.charts import draw_charts
from capacity.record import Report
from capacity.slo import parse_level, show_ms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SYMBOLS: Final = {"pass": "●", "fail": "▼", "invalid": "□"}
_NARROW_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"
_ABSENT: Final = "\N{EN DASH}"


def write_report(report: Report, folder: Path) -> None:
    """Write both files into `folder`, each replaced as a whole."""
    _replace(folder / "report.json", msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    _replace(folder / "report.html", render_html(report).encode())


def read_report(path: Path) -> Report:
    """Read a `report.json` back.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return msgspec.json.decode(path.read_bytes(), type=Report)


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(path.suffix + ".part")
    partial.write_bytes(content)
    partial.replace(path)


def render_html(report: Report) -> str:
    """Return the page: one file, no script, nothing fetched."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("capacity"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    filters: dict[str, Callable[..., str]] = {
        "count": _count,
        "ms": _ms,
        "percent": _percent,
        "mebibytes": _mebibytes,
        "prose": _prose,
        "about": _about,
        "sentence": _sentence,
    }
    environment.filters.update(filters)
    levels = [parse_level(text) for text in report.levels]
    page = environment.get_template("report.html.j2")
    charts = [(chart, [Markup(svg) for svg in chart.svgs]) for chart in draw_charts(report, levels)]  # noqa: S704 - drawn by us, texts escaped
    return page.render(report=report, answer=report.answer, charts=charts, symbols=SYMBOLS)


def _count(value: float | None) -> str:
    return _ABSENT if value is None else count(round(value)).replace(" ", _NARROW_SPACE)


def _about(value: int) -> str:
    return about(value).replace(" ", _NARROW_SPACE)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _ms(value: float | None) -> str:
    return _ABSENT if value is None else show_ms(value)


def _percent(value: float | None) -> str:
    return _ABSENT if value is None else f"{value * 100:.0f} %"


def _mebibytes(value: int | None) -> str:
    return _ABSENT if value is None else f"{_count(value / 2**20)} MiB"


def _prose(text: str) -> Markup:
    """Keep the groups of a number, and a number and its unit, on one line."""
    joined = re.sub(r"(?<=\d) (?=\d{3}\b)", _NARROW_SPACE, text)
    return escape(re.sub(r"(?<=\d) (?=(ms|s|%|users)\b|%)", "\N{NO-BREAK SPACE}", joined))
