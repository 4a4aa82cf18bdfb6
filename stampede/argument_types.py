"""Types of command line arguments that several commands take."""

from __future__ import annotations

from argparse import ArgumentTypeError
from urllib.parse import urlsplit

from stampede.redaction import redact


def endpoint_path(text: str) -> str:
    """Return the path of a chat endpoint.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.startswith("/"):
        raise ArgumentTypeError(f"{text!r} does not begin with a slash")
    return text


def base_url(text: str) -> str:
    """Return the base URL of HTTP requests.

    Raises:
        ArgumentTypeError: it is none.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ArgumentTypeError(f"{redact(text)!r} is not a URL such as https://api.example.org")
    return text.rstrip("/")
