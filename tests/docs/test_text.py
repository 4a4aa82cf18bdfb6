"""Figures in the text of pages that follow from the code."""

from __future__ import annotations

import re

from capacity.config.settings import RUN_OPTIONS
from capacity.config.slo import DEFAULT_SLOS
from capacity.report.sections import SECTIONS
from stampede.locust.options import OPTIONS
from tests.docs.pages import DOCS


def text_of(page: str) -> str:
    return (DOCS / page).read_text()


def test_the_default_objectives_are_named() -> None:
    assert tuple(re.findall(r"`(\w+<[\w.%]+)`", text_of("tutorial/reading-the-report.md"))) == DEFAULT_SLOS


def test_the_sections_of_the_report_are_named() -> None:
    (table,) = re.findall(r"^\| section \|.*?\n\n", text_of("tutorial/reading-the-report.md"), re.DOTALL | re.MULTILINE)
    named = re.findall(r"^\| ([A-Z][\w' ]+) \|", table, re.MULTILINE)
    titles = [section.title for section in SECTIONS]
    assert [title for title in titles if title in named] == named


def test_the_deliveries_of_room_sizes_are_computed() -> None:
    rows = re.findall(r"^\| in .*?([\d ]+) \| ([\d ]+) \|$", text_of("explanation/fan-out.md"), re.MULTILINE)
    found = {int(size.replace(" ", "")): int(deliveries.replace(" ", "")) for size, deliveries in rows}
    assert found == {size: 1000 * (size - 1) for size in (2, 20, 100, 1000)}


def test_defaults_in_sentences_are_those_of_the_options() -> None:
    defaults = {option.name: str(option.default) for option in OPTIONS}
    page = text_of("explanation/batched-reading.md")
    assert re.findall(r"`--batch-interval` \((\S+) s\)", page) == [defaults["batch-interval"]]
    assert re.findall(r"`--timed-users` \((\d+)\)", page) == [defaults["timed-users"]]
    assert "measured for six seconds" in text_of("tutorial/first-run.md")
    assert RUN_OPTIONS["window"].default == "6"
