"""The report in a real browser: on phone, tablet, desktop and paper, in light and dark mode."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from capacity.model.scalability import fit_model
from capacity.model.scaling import scaling_of
from capacity.model.sizing import Demand, size_for
from capacity.record.step import Verdict
from capacity.record.worker import WorkerRecord
from capacity.search.search import Ending
from capacity.storms.result import storm_answer
from stampede.measure.address_pairs import AddressPair
from tests.capacity import make
from tests.capacity.model.test_scaling import point
from tests.capacity.pages import render_html
from tests.capacity.profile.samples import run_profile
from tests.capacity.storms.test_storms import record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from capacity.record.report import RunReport

QUESTIONS: Final = ("How sure", "Why it ends there", "What to do next")
SIZING: Final = ("For 10\N{NARROW NO-BREAK SPACE}000 users", "What it costs")

PAPER: Final = {"width": 688, "height": 1017}
"""A4 without the page's margins, in CSS pixels."""

CUT: Final = """() => {
  const cut = [];
  for (const svg of document.querySelectorAll('svg')) {
    if (!svg.getBoundingClientRect().width) continue;
    const frame = svg.closest('figure').getBoundingClientRect();
    for (const text of svg.querySelectorAll('text')) {
      const box = text.getBoundingClientRect();
      if (box.left < frame.left - 0.5 || box.right > frame.right + 0.5 || box.bottom > frame.bottom)
        cut.push(text.textContent);
    }
  }
  return cut;
}"""
"""Labels of charts outside their frame."""

OVERLAPPING: Final = """() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg')) {
    const boxes = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
    boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([two, b]) => {
      const [x, y] = [Math.min(a.right, b.right) - Math.max(a.left, b.left),
                      Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
      if (x > 1 && y > 3) found.push([one, two]);
    }));
  }
  return found;
}"""
"""Pairs of overlapping labels of a chart."""

HIDDEN: Final = """() => [...document.querySelectorAll('.reasons p')]
  .filter(p => p.getBoundingClientRect().right > document.documentElement.clientWidth)
  .map(p => p.textContent)"""
"""Reasons that need sideways scrolling."""


def searched() -> RunReport:
    """Return a report with every section of a search."""
    long = [
        "other processes used 51 % of the server's core, which was full; the server got 49 %",
        "missed loss<0.1%: 9.93 %",
    ]
    ramp = [make.step(users) for users in (100, 200, 300, 400, 600, 800)]
    steps = [
        *ramp,
        make.failing(1600),
        make.step(1200, "invalid", reasons=long * 2),
        *[make.step(800)] * 2,
    ]
    report = make.report(steps, limits={"cpu": 0.92, "lag_ms": 62.5})
    sizing = size_for(Demand(10_000, 0.3, 2, 25.0), report.answer, report.steps)
    addresses = [f"[2001:db8::{number}]:8443" for number in range(4)]
    pairs = [AddressPair(*pair, 12_000, 11_000, 900) for pair in product(addresses, addresses)]
    further = {"profile": run_profile(), "address_pairs": pairs}
    return msgspec.structs.replace(report, sizing=sizing, model=fit_model(steps), **further)


def stormed() -> RunReport:
    """Return a report with storms, scaling and several workers of the load generator."""
    storms = [record(10), *[record(20)] * 3, record(40, Verdict.FAIL)]
    answer = storm_answer(storms, users=100, slos=["resync_p95<5s"], backoff="none", ending=Ending.CONVERGED)
    scaling = scaling_of([point(1, 20_000), point(2, 30_000, shared=True)])
    workers = [WorkerRecord(name=f"worker {n}", host="host-b", state="ended", invalid_steps=n) for n in range(2)]
    more = {"storm": answer, "levels": ["resync_p95<5s"], "scaling": scaling, "workers": workers}
    return make.report([make.step(100)], Ending.STEPS_DONE, **more)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write each report once."""
    folder = tmp_path_factory.mktemp("reports")
    written = {}
    for name, report in (("searched", searched()), ("stormed", stormed())):
        written[name] = folder / f"{name}.html"
        written[name].write_text(render_html(report))
    return written


@pytest.fixture(params=["searched", "stormed"])
def page(request: pytest.FixtureRequest, chromium: Browser, pages: dict[str, Path]) -> Iterator[Page]:
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(pages[request.param].as_uri())
        yield page


@pytest.mark.parametrize("width", [380, 768, 1280])
def test_at_every_width_no_text_is_cut_off_or_overlaps(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVERLAPPING) == []
    assert page.evaluate(HIDDEN) == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("name", ["searched", "stormed"])
def test_the_first_screen_answers_the_questions_of_a_buyer(
    name: str, chromium: Browser, pages: dict[str, Path], width: int, height: int
) -> None:
    asked = QUESTIONS + (SIZING if name == "searched" else ())
    with chromium.new_context(viewport={"width": width, "height": height}) as context:
        page = context.new_page()
        page.goto(pages[name].as_uri())
        for element in (".number", ".promise", *(f'.questions dt:text-is("{one}") + dd' for one in asked)):
            box = page.locator(element).bounding_box()
            assert box is not None, element
            assert box["y"] + box["height"] <= height, element


def test_the_first_screen_of_a_search_can_be_read_alone(chromium: Browser, pages: dict[str, Path]) -> None:
    with chromium.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.goto(pages["searched"].as_uri())
        words = " ".join(page.locator(".hero").inner_text().replace("\N{NARROW NO-BREAK SPACE}", " ").split())
    for part in ("800 chatting users", "99 of 100 messages arrive within a quarter of a second",
                 "Between 800 and 1 600 users", "19 processes on a core each", "19 cores x 25 a month"):  # fmt: skip
        assert part in words


def test_a_term_leads_to_its_definition_on_the_page(page: Page) -> None:
    links = page.locator("a.term").all()
    assert links
    for link in links:
        target = page.locator(link.get_attribute("href") or "")
        assert target.count() == 1, link.inner_text()
    links[0].click()
    assert page.locator("dt:target + dd").is_visible()


def test_the_contents_lead_to_every_section(page: Page) -> None:
    links = [link.get_attribute("href") for link in page.locator("nav a").all()]
    assert links == [f"#{section.get_attribute('id')}" for section in page.locator("section").all()]


SCROLLING: Final = """() => [...document.querySelectorAll('.scroll')]
  .filter(one => one.scrollWidth > one.clientWidth)
  .map(one => one.ariaLabel || one.getAttribute('aria-label'))"""
"""Tables with hidden columns."""


def test_a_desktop_shows_whole_tables_and_a_phone_a_hint_to_scroll(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.evaluate(SCROLLING) == []
    assert not any(hint.is_visible() for hint in page.locator(".hint").all())
    page.set_viewport_size({"width": 380, "height": 800})
    wide = page.evaluate(SCROLLING)
    assert wide
    for label in wide:
        hint = page.locator(f'.hint:has(+ [aria-label="{label}"])')
        assert hint.is_visible()
        assert "sideways" in hint.inner_text()


def test_no_number_has_an_exponent_and_more_received_than_due_is_explained(chromium: Browser, tmp_path: Path) -> None:
    ahead = [make.step(users, received=users * 115) for users in (100, 200, 300, 400, 600, 800)]
    report = msgspec.structs.replace(make.report(ahead), model=fit_model(ahead))
    assert report.model is not None
    (tmp_path / "report.html").write_text(render_html(report))
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto((tmp_path / "report.html").as_uri())
        text = page.locator("main").inner_text()
    assert re.findall(r"\de[+-]\d+", text) == []
    assert "More received than due" in text
    assert "More received than due" not in render_html(searched())


def test_dark_mode_is_dark_and_print_is_white(page: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(paper)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) != light
    page.emulate_media(color_scheme="dark", media="print")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_print_keeps_tables_on_the_page_and_charts_whole(page: Page) -> None:
    page.set_viewport_size(PAPER)  # type: ignore[arg-type]
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") == PAPER["width"]
    for table in page.locator("table").all():
        assert table.evaluate("one => one.getBoundingClientRect().right") <= PAPER["width"]
    for figure in page.locator("figure").all():
        assert figure.evaluate("one => getComputedStyle(one).breakInside") == "avoid"
        assert figure.evaluate("one => one.getBoundingClientRect().height") < PAPER["height"] / 3
    assert page.evaluate(CUT) == []
