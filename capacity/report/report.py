"""Write `report.json` and `report.html`: the same run for programs and for people."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

import jinja2
import msgspec
from markupsafe import Markup, escape

from capacity.config.slo import parse_level
from capacity.errors import UsageError
from capacity.formatting import about, count, show_estimate, show_ms
from capacity.report.charts import charts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from capacity.config.slo import Slo
    from capacity.record import Interval, Report
    from capacity.report.charts import Chart

SYMBOLS: Final = {"pass": "●", "fail": "▼", "invalid": "□"}
_NARROW_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"
_SECONDS: Final = frozenset({"max_duration", "settle", "window", "work_per_message"})
_ABSENT: Final = "\N{EN DASH}"


def write_report(report: Report, folder: Path, *, pictures: bool = False) -> None:
    """Write both files into `folder`, with `pictures` also the charts as PNG; each is replaced as a whole."""
    write_json(report, folder)
    charts = charts_of(report, list(_client_levels(report.levels)))
    _replace(folder / "report.html", _page(report, charts).encode())
    if not pictures:
        return
    if charts:
        (folder / "charts").mkdir(exist_ok=True)
    for chart in charts:
        _replace(folder / "charts" / f"{chart.key}.png", chart.png())


def write_json(report: Report, folder: Path) -> None:
    """Write `report.json` into `folder`, replaced as a whole."""
    _replace(folder / "report.json", msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(path.suffix + ".part")
    partial.write_bytes(content)
    partial.replace(path)


def render_html(report: Report) -> str:
    """Return the page: one file, no script, nothing fetched."""
    return _page(report, charts_of(report, list(_client_levels(report.levels))))


def page_environment() -> jinja2.Environment:
    """Return what renders the pages of this room."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("capacity.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    filters: dict[str, Callable[..., str]] = {
        "count": _count,
        "ms": _ms,
        "percent": _percent,
        "mebibytes": _mebibytes,
        "estimate": _estimate,
        "prose": _prose,
        "about": _about,
        "sentence": _sentence,
        "setting": _setting,
    }
    environment.filters.update(filters)
    return environment


def _page(report: Report, charts: Sequence[Chart]) -> str:
    drawn = [(chart, [Markup(svg) for svg in chart.svgs]) for chart in charts]  # noqa: S704 - drawn by us, texts escaped
    page = page_environment().get_template("report.html.j2")
    return page.render(report=report, answer=report.answer, charts=drawn, symbols=SYMBOLS)


def _client_levels(texts: Sequence[str]) -> Iterator[Slo]:
    """Return the levels that are figures of the load test; what a Prometheus is asked has a scale of its own."""
    for text in texts:
        with contextlib.suppress(UsageError):
            yield parse_level(text)


def _count(value: float | None) -> str:
    return _ABSENT if value is None else count(round(value)).replace(" ", _NARROW_SPACE)


def _about(value: int) -> str:
    return about(value).replace(" ", _NARROW_SPACE)


def _estimate(value: Interval) -> str:
    return show_estimate(value.value, value.low, value.high)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _setting(value: str | float, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes"
    if name in ("headroom", "interval_width"):
        return _percent(value)
    return f"{value:g} s" if name in _SECONDS else _count(value)


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
