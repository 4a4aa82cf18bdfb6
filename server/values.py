"""Read one value of a setting from what a person wrote; the functions' names are what an error message calls them."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network


def port(text: str) -> int:
    """Read a TCP port; 0 lets the system choose."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def seconds(text: str) -> float:
    """Read a duration: finite, not negative."""
    number = float(text)
    if not 0 <= number < 1e9:
        raise ValueError
    return number


rate = seconds


def size(text: str) -> int:
    """Read a number of bytes or of things."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def count(text: str) -> int:
    """Read a number of things of which there is at least one."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def level(text: str) -> str:
    """Read a log level."""
    name = text.lower()
    if name not in ("debug", "info", "warning", "error"):
        raise ValueError
    return name


def log_format(text: str) -> str:
    """Read a form of log lines."""
    name = text.lower()
    if name not in ("text", "json"):
        raise ValueError
    return name


def network(text: str) -> IPv4Network | IPv6Network:
    """Read a network, or one address, in CIDR notation."""
    return ip_network(text)


def yes_or_no(text: str) -> bool:
    """Read a choice."""
    word = text.lower()
    if word not in ("0", "1", "false", "true", "no", "yes"):
        raise ValueError
    return word in ("1", "true", "yes")


def bus_url(text: str) -> str:
    """Read the URL of a NATS server."""
    parts = urlsplit(text)
    if parts.scheme not in ("nats", "tls") or not parts.hostname:
        raise ValueError
    return text
