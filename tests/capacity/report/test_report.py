from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest

from capacity.config.slo import parse_slo
from capacity.formatting import figure, format_bytes, format_ms
from capacity.model.scalability import fit_model
from capacity.model.sizing import Demand, size_for
from capacity.record.report import read_report
from capacity.report.charts import charts_of
from capacity.report.html import report_charts, report_page
from capacity.report.writer import write_json, write_report
from capacity.search.search import Ending
from tests.capacity import make
from tests.capacity.pages import render_html
from tests.capacity.profile.samples import run_profile

if TYPE_CHECKING:
    from pathlib import Path

    from capacity.record.report import RunReport

VOID = {"meta", "br", "hr", "img", "input", "link", "wbr"}


class Page(HTMLParser):
    """Checks the nesting of elements, and collects ids, text and elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


REPORTS = {
    "interval": make.report(make.converged()),
    "generator": make.report(make.generator_first(), Ending.GENERATOR),
    "one step": make.report([make.step(100)], Ending.BUDGET),
    "profiled": make.report(make.converged(), profile=run_profile()),
    "nothing": make.report([], None, status="partial", status_reason="the server ended"),
    "unknown server": make.report([make.step(n, server_cpu=None, server_rss_bytes=None) for n in (100, 200)], None),
    "no window": make.report([make.step(100, "invalid", window_s=None, deliver_p99_ms=None)], None),
}


@pytest.fixture(params=list(REPORTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def report(name: str) -> RunReport:
    return REPORTS[name]


@cache
def page_of(name: str) -> str:
    """Render each report once: drawing takes a second or two."""
    return render_html(REPORTS[name])


def test_the_page_is_well_formed_and_its_ids_are_unique(name: str) -> None:
    page = Page(page_of(name))
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


def test_the_page_has_no_external_resources(name: str) -> None:
    html = page_of(name)
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|<img|<iframe", html)
    assert set(re.findall(r"url\(([^)]*)\)", html)) <= {f"#{name}" for name in Page(html).ids}
    assert set(re.findall(r'href="#([^"]*)"', html)) <= set(Page(html).ids)


def test_the_answer_is_on_top_and_every_step_in_the_table(name: str, report: RunReport) -> None:
    html = page_of(name)
    page = Page(html)
    words = re.sub(r"\s+", " ", page.text)
    assert re.sub(r"\s+", " ", report.answer.sentence) in words
    assert words.index(report.answer.headline_label) < words.index("Environment")
    rows = re.findall(r'<th scope="row">([^<]*)</th>', html)
    assert len(rows) == 2 * len(report.steps)


def test_every_chart_has_both_sizes_and_a_text_alternative() -> None:
    html = page_of("interval")
    drawings = [attrs for tag, attrs in Page(html).elements if tag == "svg"]
    assert [attrs["class"] for attrs in drawings] == ["wide", "narrow"] * 5
    for attrs in drawings:
        assert attrs["role"] == "img"
        title, words = (attrs["aria-labelledby"] or "").split()
        assert f'<title id="{title}">' in html
        assert f'<desc id="{words}">' in html
    assert "1 500 users: fail" in html


def test_a_single_level_has_no_charts_because_there_is_nothing_to_compare() -> None:
    assert report_charts(make.report([make.step(100), make.failing(200)]))
    assert report_charts(make.report([make.step(100), make.failing(100)])) == []
    assert "<figure " in page_of("interval")
    assert "<figure " not in page_of("one step")


def test_an_outlier_does_not_squeeze_its_charts() -> None:
    """Matplotlib warns if marks beyond the axes compress them; in tests a warning is an error."""
    lags = {"generator_loop_lag_p99_ms": 5000.0, "generator_send_lag_p99_ms": 5000.0}
    outlier = make.failing(800, deliver_p99_ms=60_000.0, server_loop_lag_p99_ms=5000.0, **lags)
    steps = [make.step(200), make.step(400), make.failing(800), make.failing(800), outlier]
    page = render_html(make.report(steps, limits={"cpu": 0.92, "lag_ms": 62.5}))
    assert page.count("<figure ") >= 5


def test_charts_take_their_colours_from_the_page() -> None:
    for chart in charts_of(REPORTS["generator"], [parse_slo(text) for text in make.SLOS]):
        for svg in chart.svgs:
            assert "var(--" in svg
            assert not re.search(r"#[0-9a-f]{6}\b", svg)


def test_a_projection_is_labelled_wherever_it_is_shown() -> None:
    report = REPORTS["generator"]
    html = page_of("generator")
    assert "projected, not measured" in html
    assert "Projected, not measured" in html
    assert report.answer.projected_users is not None
    hero = html[html.index('class="number"') : html.index('class="promise"')]
    assert "5" not in re.sub(r"<[^>]*>", "", hero)


def test_the_first_screen_names_the_bottleneck_or_how_to_observe_it() -> None:
    observed = re.sub(r"\s+", " ", Page(page_of("interval")).text)
    assert "Bottleneckserver CPU (the server used 99 % of one core) Users" in observed
    dark = {"server_cpu": None, "server_rss_bytes": None}
    report = make.report([make.step(100), make.failing(200, **dark)])
    html = render_html(report)
    assert '<b class="invalid">not observable: give ' in html
    assert "not observable: give --server-pid or --metrics, or a [metrics] table" in Page(html).text
    assert report.answer.bottleneck_name == "not observable"
    assert REPORTS["interval"].answer.bottleneck_name == "server CPU"


def test_a_thorough_run_shows_its_settings() -> None:
    report = REPORTS["no window"]
    told = report.settings | {"thorough": True, "interval_width": 0.05, "confirmations": 4, "window": 30.0}
    words = Page(render_html(msgspec.structs.replace(report, settings=told))).text
    assert "Stampede capacity run, thorough" in words
    for line in ("Interval width5 %", "Confirmations4", "Window30 s"):
        assert line in words


def test_a_partial_report_begins_with_a_note() -> None:
    assert "Partial report" in page_of("nothing")


def test_text_from_outside_is_escaped() -> None:
    nasty = make.report([make.step(100, notes=["<script>alert(1)</script>"])], None, command="x <b> & 'y'")
    html = render_html(nasty)
    assert "<script>" not in html
    assert "x &lt;b&gt; &amp;" in html


def test_json_has_the_promised_fields_and_reads_back(tmp_path: Path, report: RunReport) -> None:
    write_json(report, tmp_path)
    assert read_report(tmp_path / "report.json") == report
    plain = msgspec.json.decode((tmp_path / "report.json").read_bytes())
    promised = {"supported_users", "first_failing_users", "limited_by", "confirmed", "projected_users", "sentence"}
    assert promised <= set(plain["answer"])
    for step in plain["steps"]:
        assert {"users", "verdict", "reasons", "window_s", "offered_per_s", "delivered_per_s"} <= set(step)
        assert {"deliver_p50_ms", "deliver_p99_ms", "lost", "server_cpu"} <= set(step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json"]


def test_a_complete_run_writes_its_charts_as_png(tmp_path: Path) -> None:
    write_report(REPORTS["interval"], tmp_path, pictures=True)
    pictures = sorted((tmp_path / "charts").iterdir())
    assert [path.name for path in pictures] == [
        f"{key}.png" for key in ("generator", "latency", "load", "server", "verdicts")
    ]
    for path in pictures:
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
        assert width > 1500
        assert height > 600


def test_sizing_and_model_are_shown_with_their_arithmetic() -> None:
    steps = [make.step(users) for users in (100, 200, 300, 400, 600, 800)]
    whole = make.report([*steps, make.failing(1600)])
    sizing = size_for(Demand(10_000, 0.3), whole.answer, whole.steps)
    page = Page(report_page(msgspec.structs.replace(whole, sizing=sizing, model=fit_model(steps)), []))
    assert "For 10\N{NARROW NO-BREAK SPACE}000 users" in page.text
    assert "10\N{NARROW NO-BREAK SPACE}000 / 560" in page.text
    assert "contention" in page.text


@pytest.mark.parametrize(
    ("number", "text"),
    [(2530.4, "2 530"), (999.7, "1 000"), (25.34, "25.3"), (0, "0"), (0.0000769, "0.0000769"), (1e-8, "0.00000001"),
     (1_234_567, "1 230 000"), (-2530.4, "-2 530"), (float("inf"), "inf")],
)  # fmt: skip
def test_figures_have_three_digits_and_no_exponent(number: float, text: str) -> None:
    assert figure(number) == text


def test_milliseconds_just_below_a_second_are_a_second() -> None:
    assert (format_ms(999.7), format_ms(999.4), format_ms(1840)) == ("1.00 s", "999 ms", "1.84 s")
    assert format_bytes(999.9 * 2**10) == "1 000 KiB"


def test_the_page_shows_the_functions_of_both_levels_and_a_flame_graph_of_each() -> None:
    html = page_of("profiled")
    words = re.sub(r"\s+", " ", Page(html).text)
    assert "handlehandlers.py:88 40 %36 %\N{MINUS SIGN}4 " in words
    assert "<title>dumps, json/__init__.py:231, 41.0 %</title>" in html
    for key in ("failing", "passing"):
        assert html.count(f'aria-labelledby="profile-{key}-') == 2
    assert "Where the CPU time goes" not in page_of("interval")


def test_flame_graphs_are_files_of_their_own_which_refer_to_nothing_outside(tmp_path: Path) -> None:
    write_report(REPORTS["profiled"], tmp_path)
    for name in ("profile-failing.svg", "profile-passing.svg"):
        svg = (tmp_path / name).read_text()
        assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own file
        assert not re.search(r"href|url\(|@import|<script", svg)
        assert "prefers-color-scheme: dark" in svg
    write_report(REPORTS["interval"], tmp_path)
    assert list(tmp_path.glob("*.svg")) == []
