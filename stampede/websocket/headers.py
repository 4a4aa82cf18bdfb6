"""The headers that options add to each upgrade request; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Header: TypeAlias = tuple[str, str]

_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~]*)")
"""RFC 9110, section 5: the name is a token, the value visible characters, blanks and tabs."""

_HANDSHAKE_HEADERS: Final = re.compile(r"host|connection|upgrade|content-length|transfer-encoding|sec-websocket-.*")


def parse_header(text: str) -> Header:
    """Return the name and the value of a header written as `Name: value`.

    Raises:
        ValueError: the text is not a header, or the handshake sets it. The message does not show the value.
    """
    found = _HEADER.fullmatch(text)
    if found is None:
        raise ValueError("not a header of the form 'Name: value'")
    name, value = found.groups()
    if _HANDSHAKE_HEADERS.fullmatch(name.lower()):
        raise ValueError(f"the handshake sets {name}")
    return name, value.strip()


def all_headers(texts: Iterable[str], origin: str | None, *, has_token: bool) -> tuple[Header, ...]:
    """Return all headers to add to an upgrade request.

    Args:
        texts: headers written as `Name: value`.
        origin: value of the `Origin` header, or None.
        has_token: whether users send a token in an `Authorization` header.

    Raises:
        ValueError: a text is not a header, or sets the same header as `origin` or the token.
    """
    headers = [parse_header(text) for text in texts]
    names = {name.lower() for name, _ in headers}
    if origin and "origin" in names:
        raise ValueError("Origin is set twice: use --origin or the header, not both")
    if has_token and "authorization" in names:
        raise ValueError("Authorization is set twice: use --token, --token-file or the header")
    return (*([("Origin", origin)] if origin else []), *headers)
