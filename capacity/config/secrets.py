"""Keep the secrets of URLs and headers out of commands and reports. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from stampede.redaction import HIDDEN, redact

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

_HEADER_IS: Final = "--header="


def has_hidden(text: str) -> bool:
    """Tell whether a secret was hidden in a text, which makes it unusable as it is."""
    in_url = rf"://{re.escape(HIDDEN)}@|[?&][\w.~-]+={re.escape(HIDDEN)}"
    return bool(re.search(rf"{in_url}|^[^\s:]+: {re.escape(HIDDEN)}$", text))


def without_secret_arguments(arguments: Iterable[str]) -> list[str]:
    """Return the arguments of a command without the secrets of URLs and the values of headers."""
    shown: list[str] = []
    for argument in arguments:
        joined, after_flag = argument.startswith(_HEADER_IS), shown[-1:] == ["--header"]
        if joined or after_flag:
            flag, header = (_HEADER_IS, argument.removeprefix(_HEADER_IS)) if joined else ("", argument)
            shown.append(f"{flag}{header.partition(':')[0].strip()}: {HIDDEN}")
        else:
            shown.append(redact(argument))
    return shown


def scrubbed(report: T) -> T:
    """Return a struct without the secrets of the URLs in any text of it."""
    return msgspec.convert(_scrubbed(msgspec.to_builtins(report)), type(report))


def _scrubbed(value: object) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _scrubbed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_scrubbed(one) for one in value]
    return value
