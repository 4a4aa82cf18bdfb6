from __future__ import annotations

import json
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialects.placeholders import (
    ESCAPES,
    MissingValueError,
    Template,
    escape_json,
    escape_json_twice,
    escape_url,
)

SAY = '{"room":"{room}","text":"{text}"}'
ANY = st.text(st.characters(codec="utf-8"))
XML = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\ufffe\uffff"))


@given(ANY, ANY)
def test_values_arrive_unchanged_in_json(room: str, text: str) -> None:
    filled = Template(SAY).fill({"room": room, "text": text, "unused": "x"})
    assert json.loads(filled) == {"room": room, "text": text}


@given(ANY)
def test_values_arrive_unchanged_in_json_inside_json(text: str) -> None:
    inner = escape_json(SAY.replace("{room}", "red").replace("{text}", "<>")).replace("<>", "{text}")
    filled = Template(f'{{"data":"{inner}"}}', escape_json_twice).fill({"text": text})
    assert json.loads(json.loads(filled)["data"]) == {"room": "red", "text": text}


@given(XML)
def test_values_arrive_unchanged_in_xml(text: str) -> None:
    element = ET.fromstring(Template('<m to="{text}">{text}</m>', ESCAPES["xml"]).fill({"text": text}))  # noqa: S314 # ours
    assert (element.attrib["to"], element.text or "") == (text, text)


@given(ANY)
def test_values_arrive_unchanged_in_a_url(room: str) -> None:
    path = Template("/chat/{room}/", escape_url).fill({"room": room})
    assert unquote(path) == f"/chat/{room}/"
    assert not set(path.removeprefix("/chat/").removesuffix("/")) & set("/?#& ")


@given(st.lists(ANY, min_size=1), ANY)
def test_pieces_are_joined_by_a_value(texts: list[str], room: str) -> None:
    template = Template("{room}".join("{text}" for _ in texts), ESCAPES["raw"])
    pieces = template.pieces("text", {"room": room})
    assert len(pieces) == len(texts) + 1
    assert "x".join(pieces) == template.fill({"room": room, "text": "x"})


def test_a_value_that_looks_like_a_placeholder_is_not_filled() -> None:
    assert Template("{a}", ESCAPES["raw"]).fill({"a": "{b}", "b": "no"}) == "{b}"


def test_a_missing_value_is_named() -> None:
    with pytest.raises(MissingValueError, match=r"\{token\} has no value") as error:
        Template('{"token":"{token}"}').fill({"user": "ann"})
    assert error.value.name == "token"


def test_the_names_of_the_placeholders_are_known() -> None:
    assert Template(SAY).names == {"room", "text"}
    assert Template('{"a":{"b":{}}}').names == set()


@pytest.mark.parametrize(
    ("source", "is_json"),
    [
        (SAY, True),
        ('"{room}"', True),
        ("[{n}]", True),
        ('{"a":1', False),
        ("{room}x", False),
        ('{"text":{text}', False),
    ],
)
def test_json_is_recognised_before_the_values_are_known(source: str, is_json: bool) -> None:
    assert Template(source).is_json() is is_json
