"""Take secrets out of text that people see: pure."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
"""What stands in a secret's place."""

_USER: Final = re.compile(r"(?<=://)[^\s'\"<>]*@")  # up to the last @: a password may hold any character unescaped
_SECRETS: Final = re.compile(
    r"(?i)(?<=[?&;])((?:[\w.~-]*[_-])?(?:token|key|apikey|auth|authorization|password|passwd|pwd|secret|jwt|sig|signature))"
    r"=[^\s'\"<>&#;]+"
)


def redact(text: str) -> str:
    """Return text without the users and passwords of its URLs, and without the values of secrets in their queries."""
    return _SECRETS.sub(rf"\1={HIDDEN}", _USER.sub(f"{HIDDEN}@", text))
