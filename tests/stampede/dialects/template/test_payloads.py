"""Messages with placeholders: values are escaped for the place where they stand."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialects.template.payloads import parse_payload

VALUES = st.text().filter(lambda text: "\r" not in text)


@given(VALUES)
def test_json_in_json_strings_of_any_depth_comes_out_unchanged(value: str) -> None:
    inner = json.dumps({"c": "{room}"})
    middle = json.dumps({"b": "{text}", "inner": inner})
    outer = parse_payload(json.dumps({"a": "{user}", "middle": middle, "n": 7}).replace("7", "{n}"))
    found = json.loads(outer.fill(dict.fromkeys(("user", "text", "room"), value) | {"n": "12"}))
    assert (found["a"], found["n"]) == (value, 12)
    assert json.loads(found["middle"])["b"] == value
    assert json.loads(json.loads(found["middle"])["inner"])["c"] == value


@given(VALUES)
def test_json_after_other_text_is_escaped_as_one_string(value: str) -> None:
    filled = parse_payload('42["say","{text}"]').fill({"text": value})
    assert json.loads(filled.removeprefix("42")) == ["say", value]


@given(VALUES)
def test_json2_escapes_each_value_twice(value: str) -> None:
    filled = parse_payload('x"{text}"', "json2").fill({"text": value})
    assert json.loads('"' + json.loads(filled[1:]) + '"') == value


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"])))
def test_xml_text_and_attributes_come_out_unchanged(value: str) -> None:
    filled = parse_payload("<message to='{room}'>{text}</message>", "xml").fill({"room": value, "text": value})
    element = ET.fromstring(filled)  # noqa: S314 # our own text
    assert (element.get("to"), element.text or "") == (value.replace("\n", " "), value)


@pytest.mark.parametrize(
    ("escape", "filled"), [("raw", 'a & "b"/ü'), ("url", "a%20%26%20%22b%22%2F%C3%BC"), ("json", r"a & \"b\"/ü")]
)
def test_other_escapes(escape: str, filled: str) -> None:
    assert parse_payload("{text}", escape).fill({"text": 'a & "b"/ü'}) == filled


def test_a_placeholder_without_a_value_and_other_braces_stay() -> None:
    assert parse_payload("{a} {1} {} {b c} {{d}}", "raw").fill({"d": "e"}) == "{a} {1} {} {b c} {e}"


def test_keys_may_have_placeholders() -> None:
    assert json.loads(parse_payload('{"{room}":1}').fill({"room": '"'})) == {'"': 1}


def test_numbers_that_look_like_markers_are_kept() -> None:
    text = '{"a":7310000000,"b":"{text}","c":7310100000}'
    assert json.loads(parse_payload(text).fill({"text": "x"})) == {"a": 7310000000, "b": "x", "c": 7310100000}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a":{text}}', '{text} must stand in quotes: "{text}"'),
        ('{"a":"{text}"', "expected JSON: expecting ',' delimiter at the end"),
        ('{"a" "{text}"}', "expected JSON: expecting ':' delimiter before '\"{text}\"}'"),
        ("[{n}, ]", "expected JSON: "),
    ],
)
def test_mistakes_name_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        parse_payload(text)
