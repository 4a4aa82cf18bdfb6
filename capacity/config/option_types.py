"""Parse one value of an option.

A parser raises ValueError with a text that completes the sentence "'...' is", such as "not a number".
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

AUTO: Final = "auto"
"""The value of `--server-pid` for the process that listens at `--host`."""


def positive_int(text: str) -> int:
    """Parse a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ValueError("not a whole number of 1 or more")
    return value


def port(text: str) -> int:
    """Parse a TCP port."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 0 < value < 2**16:
        raise ValueError("not a port from 1 to 65535")
    return value


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise ValueError("not a positive number")
    return value


def seconds(text: str) -> float:
    """Parse a finite number of 0 or more."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise ValueError("not zero or a positive number")
    return value


def whole_number(text: str) -> int:
    """Parse an integer."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("not a whole number") from None


def number(text: str) -> float:
    """Parse a number."""
    value = _number(text)
    if math.isnan(value):
        raise ValueError("not a number")
    return value


def fraction(text: str) -> float:
    """Parse `30%` or `0.3` as a fraction of at least 0 and below 1."""
    value = _number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value < 1:
        raise ValueError("not a share such as 30%")
    return value


def numbers(text: str) -> tuple[int, ...]:
    """Parse a comma-separated list of positive integers."""
    try:
        return tuple(positive_int(part) for part in text.split(","))
    except ValueError:
        raise ValueError("not a list of numbers such as 200,400,800") from None


def process_id(text: str) -> int | str:
    """Parse the id of a process, or `auto`."""
    if text == AUTO:
        return AUTO
    try:
        return positive_int(text)
    except ValueError:
        raise ValueError("neither a process id nor auto") from None


def user_mix(text: str) -> dict[str, int]:
    """Parse `ChattingUser=10,TypingUser=5` as weights by user class."""
    mix: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = (one.strip() for one in part.partition("="))
        if not name.isidentifier() or not weight.isdigit() or int(weight) < 1:
            raise ValueError("not of the form ChattingUser=10,TypingUser=5")
        mix[name] = int(weight)
    return mix


def python_file(text: str) -> str:
    """Check the name of an existing file."""
    if not Path(text).is_file():
        raise ValueError("not a file")
    return text


def http_url(text: str) -> str:
    """Check an HTTP URL."""
    if not _is_url(text, ("http", "https")):
        raise ValueError("not a URL such as http://127.0.0.1:9090")
    return text


def websocket_url(text: str) -> str:
    """Check a WebSocket URL."""
    if not _is_url(text, ("ws", "wss")):
        raise ValueError("not a WebSocket URL such as ws://127.0.0.1:8080")
    return text


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
