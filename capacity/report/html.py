"""Render the report page: one HTML file without scripts or external resources."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

import jinja2
from markupsafe import Markup, escape

from capacity.config.settings_table import UNITS
from capacity.config.slo import parse_slo
from capacity.errors import UsageError
from capacity.formatting import VERDICT_SYMBOLS, about, count, format_estimate, format_ms, listing
from capacity.report.cost_text import cost_text
from capacity.report.flame_graph import level_charts
from capacity.report.profile_table import function_rows
from capacity.report.question import question_of
from capacity.report.sections import Page, sections_of, terms_of
from stampede.glossary import terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from capacity.config.slo import RunSlo
    from capacity.record.model import Interval
    from capacity.record.report import RunReport
    from capacity.report.charts import Chart

_NARROW_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"
_UNKNOWN: Final = "\N{EN DASH}"
_SETTING_NAMES: Final = {
    "workers": "Server processes",
    "processes": "Generator processes",
    "load": "Options of the load",
    "locustfile_hash": "SHA-256 of the locustfile",
}


def report_charts(report: RunReport) -> list[Chart]:
    """Return the charts of a report; none for a single level alone, which has no second level to compare."""
    levels = {step.users for step in report.steps if step.window_s is not None}
    if len(levels) < 2 and report.storm is None and report.drill is None:
        return []
    from capacity.report.charts import charts_of  # noqa: PLC0415 - Matplotlib takes time to load

    return charts_of(report, list(_client_slos(report.levels)))


def report_page(report: RunReport, charts: Sequence[Chart]) -> str:
    """Return the page of a report with the given charts."""
    drawn = [(chart, [Markup(svg) for svg in chart.svgs]) for chart in charts]  # noqa: S704 - our drawings, texts escaped
    template = page_environment().get_template("report.html.j2")
    page = Page(report, charts)
    return template.render(
        report=report,
        answer=report.answer,
        question=question_of(report),
        sections=sections_of(page),
        charts=drawn,
        profile_rows=function_rows(report.profile) if report.profile else [],
        profile_charts=level_charts(report.profile) if report.profile else [],
        symbols=VERDICT_SYMBOLS,
        cost=cost_text(report),
        terms=terms_of(page),
    )


def profile_pictures(report: RunReport) -> dict[str, str]:
    """Return the flame graphs of a report as SVG files, by name."""
    template = page_environment().get_template("profile.svg.j2")
    charts = level_charts(report.profile) if report.profile else []
    return {f"profile-{chart.key}.svg": template.render(chart=chart) for chart in charts if chart.graphs}


def page_environment() -> jinja2.Environment:
    """Return the environment that renders the pages of this package."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("capacity.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    filters: dict[str, Callable[..., str]] = {
        "about": _about,
        "command": _command,
        "count": _count,
        "estimate": _estimate,
        "listing": listing,
        "mebibytes": _mebibytes,
        "ms": _ms,
        "percent": _percent,
        "points": _points,
        "prose": _prose,
        "seconds": _seconds,
        "sentence": _sentence,
        "setting": _setting,
        "setting_name": _setting_name,
        "term": _term,
    }
    environment.filters.update(filters)
    return environment


def _client_slos(texts: Sequence[str]) -> Iterator[RunSlo]:
    """Return the SLOs on figures of the load test; the value of a PromQL expression has no place in the charts."""
    for text in texts:
        with contextlib.suppress(UsageError):
            yield parse_slo(text)


def _about(value: int) -> str:
    return about(value).replace(" ", _NARROW_SPACE)


def _command(text: str) -> Markup:
    """Keep each option of a command and its value on one line, if they fit."""
    return Markup(" ").join(Markup('<span class="option">{}</span>').format(part) for part in re.split(" (?=--)", text))


def _count(value: float | None) -> str:
    return _UNKNOWN if value is None else count(round(value)).replace(" ", _NARROW_SPACE)


def _estimate(value: Interval) -> str:
    return format_estimate(value.value, value.low, value.high)


def _mebibytes(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{_count(value / 2**20)} MiB"


def _ms(value: float | None) -> str:
    return _UNKNOWN if value is None else format_ms(value)


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value * 100:.0f} %"


def _points(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value * 100:+.0f}".replace("-", "\N{MINUS SIGN}")


def _prose(text: str) -> Markup:
    """Keep the groups of a number, a number and its unit, and the name of an option on one line."""
    joined = re.sub(r"(?<=\d) (?=\d{3}\b)", _NARROW_SPACE, text)
    shown = str(escape(re.sub(r"(?<=\d) (?=(us|ms|s|%|users|cores|KiB|MiB|GiB)\b|%)", "\N{NO-BREAK SPACE}", joined)))
    return Markup(re.sub(r"--[a-z][a-z-]*(?: (?:\d[\d,]*|N)\b)?", r'<span class="whole">\g<0></span>', shown))  # noqa: S704 - escaped above


def _seconds(value: float | None) -> str:
    return _UNKNOWN if value is None else format_ms(value * 1000)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _setting_name(name: str) -> str:
    return _SETTING_NAMES.get(name) or name.replace("_", " ").capitalize()


def _setting(value: str | float, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes"
    unit = UNITS.get(name, "")
    if unit == "%":
        return _percent(value)
    return f"{value:g} s" if unit == "s" else _count(value)


def _term(name: str, text: str = "") -> Markup:
    """Return a link to the definition of a term at the end of the page."""
    (term,) = terms([name])
    return Markup('<a class="term" href="#term-{}">{}</a>').format(term.anchor, text or name)
