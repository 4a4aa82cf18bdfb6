"""Removal of secrets from displayed text; pure."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
"""The text that replaces a secret."""

_USER: Final = re.compile(r"(?<=://)[^\s'\"<>]*@")  # up to the last @: a password may contain an unescaped one
_SECRETS: Final = re.compile(
    r"(?i)(?<=[?&;])((?:[\w.~-]*[_-])?(?:token|key|apikey|auth|authorization|password|passwd|pwd|secret|jwt|sig|signature))"
    r"=[^\s'\"<>&#;]+"
)


def redact(text: str) -> str:
    """Return a text without the user names and passwords in its URLs, and without secrets in their queries."""
    return _SECRETS.sub(rf"\1={HIDDEN}", _USER.sub(f"{HIDDEN}@", text))
