"""Keep secrets out of what is printed and written: the user part of a URL, tokens in its query, headers. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

HIDDEN: Final = "***"
"""What stands in a secret's place."""

# Up to the last @ before the path, as URLs are read: a password may hold an @ that nobody has escaped.
_USER: Final = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")
_QUERY: Final = re.compile(
    r"(?<=[?&])((?:[\w.~-]*[_-])?(?:token|key|apikey|auth|authorization|password|passwd|pwd|secret|jwt|sig|signature))"
    r"=[^\s&#'\"<>]+",
    re.IGNORECASE,
)


_HEADER_IS: Final = "--header="


def without_secrets(text: str) -> str:
    """Return a text in which the secrets of every URL are hidden."""
    return _QUERY.sub(rf"\1={HIDDEN}", _USER.sub(f"{HIDDEN}@", text))


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
            shown.append(without_secrets(argument))
    return shown


def scrubbed(report: T) -> T:
    """Return a struct without the secrets of the URLs in any text of it."""
    return msgspec.convert(_scrubbed(msgspec.to_builtins(report)), type(report))


def _scrubbed(value: object) -> object:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {key: _scrubbed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_scrubbed(one) for one in value]
    return value
