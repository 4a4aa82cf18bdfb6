"""The names that are refused and why, and the names that are equal."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ErrorCode
from server.protocol.names import has_invisible, name_error, normal_form

PREPENDED = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Visible format characters: signs beside or around a number (UAX 44, Prepended_Concatenation_Mark)."""


@pytest.mark.parametrize(
    "name",
    [
        *(" ", "   ", "\u00a0", "\u3000", "\u2003\u2009"),
        *("\u200b", "\u3164", "\u202e", "\u2060", "\ufeff", "\u115f\u1160", "\uffa0", "\u2800", "\u00ad"),
        *("\u0301", "\u200d", "\ufe0f", "\U000e0041", "\u180e", "\u034f", " \u200b \u202e "),
    ],
)
def test_a_name_without_a_visible_character_is_refused_as_blank(name: str) -> None:
    assert name_error(name) is ErrorCode.NAME_BLANK


@pytest.mark.parametrize(
    "name",
    [
        *("ann\u200b", "\u200bann", "a\u200dnn", "a\u200cnn", "ann\ufeff", "an\u00adn", "ann\ufe0f", "1\ufe0f"),
        *("\u202eann", "ann\u202c", "a\u200fnn", "a\u200enn", "\u2066ann\u2069", "a\u061cnn", "\u2067ann"),
        *(
            "ann\u3164",
            "ann\uffa0",
            "ann\u2800",
            "ann\U000e0061",
            "ann\U000e0101",
            "ann\ue000",
            "ann\ufffc",
            "ann\ufdd0",
        ),
        *("ann\u2028bob", "ann\x00", "ann\x7f", "ann\x85", "ann\nbob", "\U0001f600\u202e", "\u0627\u202e\u0644"),
        *(
            "\u200c\u0645\u06cc",
            "\u0648\u200c\u0645",
            "\u0915\u200d",
            "\U0001f600\u200d",
            "\u200d\U0001f600",
            "\uf8ff x",
        ),
    ],
)
def test_a_name_with_an_invisible_or_direction_changing_character_is_refused(name: str) -> None:
    assert name_error(name) is ErrorCode.NAME_INVISIBLE
    assert has_invisible(name)


@pytest.mark.parametrize(
    "name",
    [
        *("ann", "Ann Smith", "user-000001", "room-1", "lobby", "room 7", "a", "O'Neil-Müller", "🙂", "#general", "?!"),
        *("Иван", "李雷", "محمد", "דוד", "ขวัญ", "ไก่", "とうきょう　駅", "José", "Jose\u0301", "Việt", "नमस्ते", "한글"),
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: the joiner keeps two letters apart
        "\u0d9a\u0dca\u200d\u0dbb\u0dd2",  # Sinhala: the joiner makes a conjunct
        "\u0915\u094d\u200c\u0937",  # Hindi: no conjunct
        "\U0001f469\u200d\U0001f4bb",  # woman technologist
        "\U0001f3f3\ufe0f\u200d\U0001f308",  # rainbow flag
        "\u2764\ufe0f",  # red heart
        "\U0001f468\U0001f3fd\u200d\U0001f680",  # astronaut, skin tone
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # England
        "1\ufe0f\u20e3",  # keycap
        "\u845b\U000e0100",  # a Han variant, as in names
        "\u1820\u180b\u1828",  # Mongolian
        "room \u0661\u0662",  # digits of another script
        "\U0001fae8",  # an emoji that older Unicode data do not know
    ],
)
def test_a_name_in_normal_writing_is_accepted(name: str) -> None:
    assert name_error(name) is None


def test_no_single_control_or_format_character_is_accepted() -> None:
    accepted = [
        f"U+{code:04X}"
        for code in (*range(0xE100), *range(0xF800, 0xF0100), 0xFFFFD, 0x100000, sys.maxunicode)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Co", "Zl", "Zp")
        and chr(code) not in PREPENDED
        and name_error(f"a{chr(code)}b") is None
    ]
    assert accepted == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jos\u00e9", "Jose\u0301"),  # precomposed and decomposed
        ("\ud55c\uae00", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
        ("room", "\uff52\uff4f\uff4f\uff4d"),  # full width
        ("office", "o\ufb03ce"),  # a ligature
        ("red room", "red\u00a0room"),
        ("red room", "  red   room "),
        ("\u2764", "\u2764\ufe0f"),
        ("\u0645\u06cc\u062e", "\u0645\u06cc\u200c\u062e"),
    ],
)
def test_names_with_the_same_normal_form_are_equal(one: str, other: str) -> None:
    assert normal_form(one) == normal_form(other)


@pytest.mark.parametrize(("one", "other"), [("red", "Red"), ("red", "read"), ("red room", "redroom"), ("ä", "a")])
def test_names_with_different_normal_forms_are_different(one: str, other: str) -> None:
    assert normal_form(one) != normal_form(other)


@given(st.text(min_size=1, max_size=128))
def test_the_normal_form_of_an_accepted_name_is_stable_and_never_empty(name: str) -> None:
    if name_error(name) is None:
        form = normal_form(name)
        assert form
        assert normal_form(form) == form
