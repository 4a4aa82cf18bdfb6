"""Keep secrets out of what is printed and written: the user part of a URL, and tokens in its query. Pure."""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

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


def without_secrets(text: str) -> str:
    """Return a text in which the secrets of every URL are hidden."""
    return _QUERY.sub(rf"\1={HIDDEN}", _USER.sub(f"{HIDDEN}@", text))


def has_hidden(text: str) -> bool:
    """Tell whether a secret was hidden in a text, which makes it unusable as it is."""
    return f"://{HIDDEN}@" in text or bool(re.search(rf"[?&][\w.~-]+={re.escape(HIDDEN)}", text))


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
