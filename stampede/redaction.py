"""Removal of secrets from displayed text; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN: Final = "***"
"""The text that replaces a secret."""

_USER: Final = re.compile(r"(?<=://)[^\s'\"<>]*@")  # up to the last @: a password may contain an unescaped one
_NAMES: Final = r"(?:[\w.~-]*[_-])?(?:token|key|apikey|auth|authorization|password|passwd|pwd|secret|jwt|sig|signature)"
_SECRETS: Final = re.compile(rf"(?i)(?<=[?&;])({_NAMES})=[^\s'\"<>&#;]+")
_JSON_SECRETS: Final = re.compile(  # also in JSON inside a JSON string, where the quotes are escaped
    rf'(?i)(\\*"(?:{_NAMES}|[\w.-]*(?:token|password|secret))\\*"\s*:\s*\\*")[^"\\]+(?=\\*")'
)
_SHORTEST_SECRET: Final = 4


def redact(text: str) -> str:
    """Return a text without the user names and passwords in its URLs, and without secrets in their queries."""
    return _SECRETS.sub(rf"\1={HIDDEN}", _USER.sub(f"{HIDDEN}@", text))


def redact_message(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a message without these secrets, and without those that its own names and URLs show.

    Args:
        text: the message, for example in JSON.
        secrets: known secrets; very short ones are kept, since they are parts of other words.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN).replace(quote(secret, safe=""), HIDDEN)
    return _JSON_SECRETS.sub(rf"\1{HIDDEN}", redact(text))
