"""The terms at the end of a report: those that its sections use, with the definitions of the glossary."""

from __future__ import annotations

import re

import pytest

from capacity.report.html import report_charts, report_page
from capacity.report.sections import SECTIONS, Page, Section, sections_of, terms_of
from stampede.glossary import GLOSSARY
from tests.capacity.drill.make_drill import record
from tests.capacity.drill.make_drill import report as drill_report
from tests.capacity.report.test_report_page import searched, stormed

REPORTS = {"searched": searched(), "stormed": stormed(), "drill": drill_report(record())}
PAGES = {name: Page(report, report_charts(report)) for name, report in REPORTS.items()}
HTML = {name: report_page(page.report, page.charts) for name, page in PAGES.items()}
STEMS = {"delivery": "deliver", "measurement window": "window", "intended send time": "intended"}


def section_text(html: str, key: str) -> str:
    """Return the text of a section, with its heading."""
    _, _, rest = html.partition(f'<section id="{key}">')
    return " ".join(re.sub(r"<[^>]*>", " ", rest.partition("</section>")[0]).split())


@pytest.mark.parametrize("section", SECTIONS, ids=lambda one: one.key)
def test_a_section_uses_its_terms(section: Section) -> None:
    shown = [HTML[name] for name, page in PAGES.items() if section in sections_of(page)]
    words = " ".join(section_text(html, section.key) for html in shown).lower()
    for term in section.terms:
        assert STEMS.get(term, term.lower()) in words, term


@pytest.mark.parametrize("name", REPORTS)
def test_the_terms_of_the_shown_sections_are_defined_at_the_end(name: str) -> None:
    text = section_text(HTML[name], "terms").replace("\N{NO-BREAK SPACE}", " ").replace("&#39;", "'")
    shown = terms_of(PAGES[name])
    assert len(shown) > 5
    for term in shown:
        assert f'<dt id="term-{term.anchor}">{term.name}</dt>' in HTML[name]
        assert term.definition.replace("<", "&lt;") in text


def test_every_term_of_a_section_is_in_the_glossary() -> None:
    known = {term.name for term in GLOSSARY}
    assert {name for section in SECTIONS for name in section.terms} <= known
