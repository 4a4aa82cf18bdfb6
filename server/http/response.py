"""HTTP responses, and their bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.datastructures import Headers
from websockets.http11 import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

ALLOW: Final = ("GET", "HEAD", "OPTIONS")
"""The methods that are served."""

PLAIN_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The status, content and headers of a response; `serialize` adds the headers that every response has."""

    status: int
    body: bytes
    content_type: str = PLAIN_TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


def plain(status: HTTPStatus, text: str = "", *, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a response with one line of text: by default, the phrase of the status."""
    return HttpResponse(status.value, f"{text or status.phrase}\n".encode(), headers=headers or {})


def serialize(response: HttpResponse, *, head_only: bool = False, length: int | None = None) -> bytes:
    """Return the bytes of a response after which the connection ends.

    Args:
        response: the response.
        head_only: whether the body is left out, as the response to a HEAD request.
        length: bytes of the body, if the caller sends it.
    """
    headers = Headers()
    headers["Date"] = formatdate(usegmt=True)
    if response.status != HTTPStatus.NO_CONTENT:
        headers["Content-Type"] = response.content_type
        headers["Content-Length"] = str(len(response.body) if length is None else length)
    headers["Connection"] = "close"
    headers["X-Content-Type-Options"] = "nosniff"
    for name, value in response.headers.items():
        headers[name] = value
    body = b"" if head_only else response.body
    return Response(response.status, HTTPStatus(response.status).phrase, headers, body).serialize()
