"""Answers to HTTP requests, and which page answers which path.

Every request is answered, and every answer ends its connection: browsers ask twice, Prometheus once a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.datastructures import Headers
from websockets.http11 import Response

from server.stats import HTTP_PATHS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from websockets.http11 import Request

    from server.stats import ServerStats

ALLOW: Final = ("GET", "HEAD", "OPTIONS")
"""The methods that are served."""

PLAIN_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What an endpoint has to say; `headers` beside the ones every answer has."""

    status: int
    body: bytes
    content_type: str = PLAIN_TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


def plain(status: HTTPStatus, text: str = "", *, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a short text answer; without a text, the status in words."""
    return HttpResponse(status.value, f"{text or status.phrase}\n".encode(), headers=headers or {})


def serialize(answer: HttpResponse, *, to_head: bool = False) -> bytes:
    """Return the bytes of an answer, after which the connection ends; `to_head`: the request's method is HEAD."""
    headers = Headers()
    headers["Date"] = formatdate(usegmt=True)
    if answer.status != HTTPStatus.NO_CONTENT:
        headers["Content-Type"] = answer.content_type
        headers["Content-Length"] = str(len(answer.body))
    headers["Connection"] = "close"
    headers["X-Content-Type-Options"] = "nosniff"
    for name, value in answer.headers.items():
        headers[name] = value
    body = b"" if to_head else answer.body
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, body).serialize()


_UPGRADE_REQUIRED: Final = plain(
    HTTPStatus.UPGRADE_REQUIRED,
    "A WebSocket is served on this path. The request has no 'Upgrade: websocket', or is not HTTP/1.1; is there a proxy "
    "that does not pass it on?",
    headers={"Upgrade": "websocket"},
)


class Router:
    """Answer requests for pages by exact path, and count them.

    Args:
        pages: what to do for each path; a page gets the request's headers.
        stats: requests are counted here by path and code.
    """

    def __init__(self, pages: Mapping[str, Callable[[Headers], HttpResponse]], stats: ServerStats) -> None:
        self._pages = pages
        self._stats = stats

    def answer(self, request: Request, path: str, *, is_websocket: bool = False) -> HttpResponse:
        """Return the answer to a request that asks for no upgrade.

        Args:
            request: its method is one of `ALLOW`.
            path: decoded, without the query; `*` for the server as a whole.
            is_websocket: whether an upgrade is served on this path.
        """
        page = self._pages.get(path)
        if page is not None:
            answer = page(request.headers)
        elif path == "*":
            answer = plain(HTTPStatus.OK)
        elif is_websocket:
            answer = _UPGRADE_REQUIRED
        else:
            answer = plain(HTTPStatus.NOT_FOUND)
        if request.method == "OPTIONS" and answer.status == HTTPStatus.OK:
            answer = HttpResponse(HTTPStatus.NO_CONTENT, b"", headers={"Allow": ", ".join(ALLOW)})
        self.count(path, answer.status)
        return answer

    def count(self, path: str, code: int) -> None:
        """Count an answer; a path that is none of ours, or only a part of a page, counts as `other`."""
        label = path if path in self._pages and path in HTTP_PATHS else "other"
        self._stats.http_requests[label, code] = self._stats.http_requests.get((label, code), 0) + 1
