"""Headers that a test adds to each upgrade request; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Header: TypeAlias = tuple[str, str]

_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~]*)")
"""RFC 9110, section 5: the name is a token, the value visible characters, blanks and tabs."""

_OF_THE_HANDSHAKE: Final = re.compile(r"host|connection|upgrade|content-length|transfer-encoding|sec-websocket-.*")


def parse_header(text: str) -> Header:
    """Return name and value of a header written as in a request, `Name: value`.

    Raises:
        ValueError: it is none, or one that the handshake sets itself; the message shows no value.
    """
    found = _HEADER.fullmatch(text)
    if found is None:
        raise ValueError("what is given is no header of the form 'Name: value'")
    name, value = found.groups()
    if _OF_THE_HANDSHAKE.fullmatch(name.lower()):
        raise ValueError(f"{name} belongs to the handshake and cannot be given")
    return name, value.strip()


def all_headers(texts: Iterable[str], origin: str | None, *, has_token: bool) -> tuple[Header, ...]:
    """Return all headers to add.

    Args:
        texts: given as headers.
        origin: given on its own, if it is.
        has_token: whether users bring a token, which is an `Authorization` header of its own.

    Raises:
        ValueError: one of them is none, or two of the three say the same.
    """
    headers = [parse_header(text) for text in texts]
    names = {name.lower() for name, _ in headers}
    if origin and "origin" in names:
        raise ValueError("an Origin is given by --origin, too: give one of them")
    if has_token and "authorization" in names:
        raise ValueError("an Authorization is given by --token or --token-file, too: give one of them")
    return (*([("Origin", origin)] if origin else []), *headers)
