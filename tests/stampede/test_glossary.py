"""The glossary: one definition of each term, the same in the page and in the code."""

from __future__ import annotations

import re

import pytest

from stampede.glossary import GLOSSARY, terms
from tests.tables import ROOT

PAGE = (ROOT / "docs/glossary.md").read_text()
ENTRIES = re.findall(r"^## (.+)\n\n((?:.+\n)+)", PAGE, re.MULTILINE)


def test_the_page_has_the_terms_and_definitions_of_the_code() -> None:
    shown = [(name, " ".join(definition.split()).replace("`", "")) for name, definition in ENTRIES]
    assert shown == [(term.name, term.definition) for term in GLOSSARY]


def test_terms_are_in_alphabetical_order() -> None:
    names = [term.name.lower() for term in GLOSSARY]
    assert names == sorted(set(names))


def test_an_anchor_is_that_of_the_heading_on_the_page() -> None:
    (storm,) = terms(["reconnect storm"])
    assert storm.anchor == "reconnect-storm"
    assert {term.anchor for term in terms(["SLO", "fan-out"])} == {"slo", "fan-out"}


def test_a_choice_of_terms_is_in_alphabetical_order() -> None:
    assert [term.name for term in terms(["step", "ledger"])] == ["ledger", "step"]
    with pytest.raises(KeyError, match="herd"):
        terms(["herd"])


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", PAGE))
def test_a_link_of_the_page_leads_to_a_heading(link: str) -> None:
    file, _, anchor = link.partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / file).resolve().read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
