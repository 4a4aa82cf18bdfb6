"""Addresses to connect to in place of those of the server's name; pure."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit


class Endpoint(NamedTuple):
    """A host, as a name or an address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the endpoint as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoints(text: str) -> tuple[Endpoint, ...]:
    """Return the endpoints in a text such as `10.0.0.1:8080,[2001:db8::1]:8080`; none in an empty text.

    Raises:
        ValueError: a part is no endpoint; the message says which.
    """
    return tuple(_parse(part.strip()) for part in text.split(",")) if text else ()


def _parse(text: str) -> Endpoint:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.netloc != text or "@" in text:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 10.0.0.1:8080 or [2001:db8::1]:8080")
    return Endpoint(host, port)
