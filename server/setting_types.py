"""Parse the value of a setting.

Each function raises ValueError for an invalid value, with a text that completes the sentence "'...' is".
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network


def port(text: str) -> int:
    """Parse a TCP port; 0 lets the system choose."""
    return _whole(text, 0, 65535, "not a port (0 to 65535)")


def seconds(text: str) -> float:
    """Parse a duration: finite, not negative."""
    return _number(text, "not a number of seconds (0 or more)")


def rate(text: str) -> float:
    """Parse a number of events per second: finite, not negative."""
    return _number(text, "not a rate (a number of 0 or more)")


def size(text: str) -> int:
    """Parse a number of bytes, or a limit."""
    return _whole(text, 0, 2**63, "not a whole number of 0 or more")


def count(text: str) -> int:
    """Parse a number of at least one."""
    return _whole(text, 1, 2**63, "not a whole number of 1 or more")


def level(text: str) -> str:
    """Parse a log level."""
    return _word(text, ("debug", "info", "warning", "error"))


def log_format(text: str) -> str:
    """Parse a format of log lines."""
    return _word(text, ("text", "json"))


def network(text: str) -> IPv4Network | IPv6Network:
    """Parse a network, or one address, in CIDR notation."""
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError("not a network in CIDR notation, such as 10.0.0.0/8") from None


def yes_or_no(text: str) -> bool:
    """Parse a switch."""
    word = text.lower()
    if word not in ("0", "1", "false", "true", "no", "yes"):
        raise ValueError("neither yes nor no")
    return word in ("1", "true", "yes")


def bus_url(text: str) -> str:
    """Parse the URL of a NATS server."""
    wrong = "not the URL of a NATS server (nats://host or tls://host)"
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("nats", "tls") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(wrong) from None
    if not is_usable:
        raise ValueError(wrong)
    return text


def _whole(text: str, low: int, high: int, wrong: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError(wrong) from None
    if not low <= number <= high:
        raise ValueError(wrong)
    return number


def _number(text: str, wrong: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(wrong) from None
    if not 0 <= number < 1e9:
        raise ValueError(wrong)
    return number


def _word(text: str, words: tuple[str, ...]) -> str:
    word = text.lower()
    if word not in words:
        raise ValueError(f"not one of {', '.join(words)}")
    return word
