"""Take secrets out of text that people see: pure."""

from __future__ import annotations

import re
from typing import Final

_USER: Final = re.compile(r"(?<=://)[^\s'\"<>]*@")
_SECRETS: Final = re.compile(
    r"(?i)(?<=[?&;])(access_token|api_?key|auth|jwt|key|password|secret|sig|token)=[^\s'\"<>&#;]*"
)


def redact(text: str) -> str:
    """Return text without the users and passwords of its URLs, and without the values of secrets in their queries."""
    return _SECRETS.sub(r"\1=***", _USER.sub("***@", text))
