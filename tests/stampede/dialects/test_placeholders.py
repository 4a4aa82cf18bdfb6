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
    TextTemplate,
    check_values,
    for_json,
    for_json_in_json,
    for_url,
)

SAY = '{"room":"{room}","text":"{text}"}'
ANY = st.text(st.characters(codec="utf-8"))
XML = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\ufffe\uffff"))


@given(ANY, ANY)
def test_values_arrive_unchanged_in_json(room: str, text: str) -> None:
    filled = TextTemplate.parse(SAY, for_json).fill({"room": room, "text": text, "unused": "x"})
    assert json.loads(filled) == {"room": room, "text": text}


@given(ANY)
def test_values_arrive_unchanged_in_json_inside_json(text: str) -> None:
    inner = for_json(SAY.replace("{room}", "red").replace("{text}", "<>")).replace("<>", "{text}")
    filled = TextTemplate.parse(f'{{"data":"{inner}"}}', for_json_in_json).fill({"text": text})
    assert json.loads(json.loads(filled)["data"]) == {"room": "red", "text": text}


@given(XML)
def test_values_arrive_unchanged_in_xml(text: str) -> None:
    element = ET.fromstring(TextTemplate.parse('<m to="{text}">{text}</m>', ESCAPES["xml"]).fill({"text": text}))  # noqa: S314 # ours
    assert (element.attrib["to"], element.text or "") == (text, text)


@given(ANY)
def test_values_arrive_unchanged_in_a_url(room: str) -> None:
    path = TextTemplate.parse("/chat/{room}/", for_url).fill({"room": room})
    assert unquote(path) == f"/chat/{room}/"
    assert not set(path.removeprefix("/chat/").removesuffix("/")) & set("/?#& ")


@given(st.lists(ANY, min_size=1), ANY)
def test_pieces_are_joined_by_a_value(texts: list[str], room: str) -> None:
    template = TextTemplate.parse("{room}".join("{text}" for _ in texts))
    pieces = template.pieces({"room": room})
    assert len(pieces) == len(texts) + 1
    assert "x".join(pieces) == template.fill({"room": room, "text": "x"})


def test_a_value_that_looks_like_a_placeholder_is_not_filled() -> None:
    assert TextTemplate.parse("{a}").fill({"a": "{b}", "b": "no"}) == "{b}"


def test_a_missing_value_is_named() -> None:
    names = TextTemplate.parse(SAY + '{"token":"{token}","seat":"{seat}"}').names
    check_values(names, ["seat", "token", "other"])
    with pytest.raises(
        MissingValueError, match=r"\{token\} has no value: give --token, --token-file or a column token"
    ):
        check_values(names, ["seat"])
    with pytest.raises(MissingValueError, match=r"\{seat\} has no value: give a column seat of --credentials") as error:
        check_values(names, ["token"])
    assert error.value.name == "seat"


def test_the_names_of_the_placeholders_are_known() -> None:
    assert TextTemplate.parse(SAY).names == {"room", "text"}
    assert TextTemplate.parse('{"a":{"b":{}}}').names == set()


@pytest.mark.parametrize(
    ("source", "is_json"),
    [
        (SAY, True),
        ('"{room}"', True),
        ("[{n}]", True),
        ('{"seat":{seat}}', True),
        ('{"a":1', False),
        ("{room}", False),
        ('{"text":{text}}', False),
    ],
)
def test_json_is_recognised_before_the_values_are_known(source: str, is_json: bool) -> None:
    assert TextTemplate.parse(source, for_json).is_json() is is_json
