"""Messages and bodies with placeholders: each value is escaped for the place where it stands; pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from stampede.dialects.placeholders import ESCAPES, PLACEHOLDER, TEXTS, TextTemplate, for_json, raw

if TYPE_CHECKING:
    from stampede.dialects.placeholders import Escape

JSON: Final = "json"

_FIRST_MARKER: Final = 7_310_000_000


def parse_payload(text: str, escape: str = JSON) -> TextTemplate:
    """Return the template of a message.

    With the escape `json`, a message that begins with a brace or a bracket must be JSON. Its strings may contain JSON
    themselves, to any depth. Values in other messages, such as `42["event","{text}"]`, are escaped as in one string.

    Raises:
        ValueError: the message is not JSON when it is filled in; the text says why.
    """
    if escape != JSON:
        return TextTemplate.parse(text, ESCAPES[escape])
    names = PLACEHOLDER.findall(text)
    markers = _markers(text, len(names))
    remaining = iter(markers)
    sample = PLACEHOLDER.sub(lambda _: next(remaining), text)
    if not sample.lstrip().startswith(("{", "[")):
        return TextTemplate.parse(text, for_json)
    try:
        content = json.loads(sample)
    except json.JSONDecodeError as error:
        place = _place(sample, error.pos, dict(zip(markers, names, strict=True)))
        raise ValueError(f'expected JSON: {_lower(error.msg)} {place}; is it escape = "raw"?') from None
    depths: dict[str, int] = {}
    _measure(content, 1, markers, depths)
    for name, marker in zip(names, markers, strict=True):
        if name in TEXTS and not depths.get(marker, 1):
            raise ValueError(f'{{{name}}} must stand in quotes: "{{{name}}}"')
    return TextTemplate.parse(text, *(_nested(depths.get(marker, 1)) for marker in markers))


def _markers(text: str, count: int) -> list[str]:
    """Return numbers of the same length that do not occur in a text; in JSON they may stand in or out of quotes."""
    first = _FIRST_MARKER
    while str(first)[:5] in text:
        first += 10**5
    return [str(first + index) for index in range(count)]


def _measure(value: Any, depth: int, markers: list[str], depths: dict[str, int]) -> None:
    """Record for each marker in how many JSON strings it stands, each in the one before."""
    if isinstance(value, dict):
        for key, item in value.items():
            _measure(key, depth, markers, depths)
            _measure(item, depth, markers, depths)
    elif isinstance(value, list):
        for item in value:
            _measure(item, depth, markers, depths)
    elif isinstance(value, str) and value.lstrip().startswith(("{", "[")) and _is_json(value):
        _measure(json.loads(value), depth + 1, markers, depths)
    else:
        depths |= {marker: depth if isinstance(value, str) else 0 for marker in markers if marker in str(value)}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def _nested(depth: int) -> Escape:
    """Return the escape for a place in so many JSON strings, each in the one before."""
    if depth < 2:
        return for_json if depth else raw

    def escape(text: str) -> str:
        for _ in range(depth):
            text = for_json(text)
        return text

    return escape


def _place(sample: str, position: int, names: dict[str, str]) -> str:
    """Return where in a message its JSON is wrong, as the file has it."""
    if position >= len(sample):
        return "at the end"
    rest = sample[position:]
    for marker, name in names.items():
        rest = rest.replace(marker, f"{{{name}}}")
    return f"before {rest[:20]!r}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
