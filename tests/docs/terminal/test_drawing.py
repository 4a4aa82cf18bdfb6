from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from docs.terminal.drawing import Frame, draw

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[tuple[float, str]]:
    """Return the place of each piece of text in its line, in characters, and the text."""
    groups = ET.fromstring(picture).iter(f"{SVG}g")  # noqa: S314 - our own
    found = [text for group in groups for text in group.iter(f"{SVG}text")]
    return [(round((float(text.attrib["x"]) - 16) / 8.4), text.text or "") for text in found]


def test_text_keeps_its_column_and_its_markup_characters() -> None:
    picture = draw("ls", [Frame(["a   \x1b[32mp99 < 1 & 2\x1b[0m"])], "a list", columns=80)
    assert texts(picture) == [(0, "a"), (4, "p99 < 1 & 2")]
    assert 'style="fill:#7ee787">p99' in picture
    assert ET.fromstring(picture).attrib["aria-label"] == "a list"  # noqa: S314 - our own


@pytest.mark.parametrize(
    ("codes", "expected"), [("1", ' class="b"'), ("2", ' class="d"'), ("1;2", ' class="b d"'), ("0", "")]
)
def test_bold_and_dim_text_are_classes(codes: str, expected: str) -> None:
    picture = draw("ls", [Frame([f"\x1b[{codes}mword"])], "", columns=80)
    assert re.findall(r'textLength="34"([^>]*)>word', picture) == [expected]


def test_a_long_line_continues_on_the_next_one() -> None:
    picture = draw("ls", [Frame(["x" * 25])], "", columns=10)
    assert [text for _, text in texts(picture)] == ["x" * 10, "x" * 10, "x" * 5]


def test_a_film_ends_with_its_last_screen_and_readers_may_have_it_still() -> None:
    picture = draw("run", [Frame(["one"], 1), Frame(["two"], 1), Frame(["three"], 2)], "", columns=20)
    assert "@keyframes k1{0%{opacity:0}25.0%{opacity:1}50.0%{opacity:0}}" in picture
    assert "@keyframes k2{0%{opacity:0}50.0%{opacity:1}}" in picture
    assert ".f1{opacity:0;" in picture
    assert ".f2{animation:" in picture
    assert "prefers-reduced-motion" in picture
    assert "animation" not in draw("run", [Frame(["one"])], "", columns=20)
