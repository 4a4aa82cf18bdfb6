"""The HTTP side of the port: the GET endpoints, and which paths may be upgraded.

Every request is answered, and every answer ends its connection: browsers ask twice, Prometheus once a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from server.stats import HTTP_PATHS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.stats import ServerStats

MAX_HEAD_BYTES: Final = 16 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"
PLAIN_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint has to say; `headers` beside the ones every answer has."""

    status: int
    body: bytes
    content_type: str = PLAIN_TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


def plain(status: HTTPStatus, text: str = "") -> Answer:
    """Return a short text answer; without a text, the status in words."""
    return Answer(status.value, f"{text or status.phrase}\n".encode())


def serialize(answer: Answer) -> Response:
    """Turn an answer into the bytes' last form but one; the connection ends after it."""
    headers = Headers()
    headers["Content-Type"] = answer.content_type
    headers["Content-Length"] = str(len(answer.body))
    headers["Connection"] = "close"
    headers["X-Content-Type-Options"] = "nosniff"
    for name, value in answer.headers.items():
        headers[name] = value
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)


def end_of_head(received: bytes) -> int:
    """Return the length of the complete head that a request starts with; 0 while it is incomplete."""
    end = received.find(_END_OF_HEAD)
    return end + len(_END_OF_HEAD) if end >= 0 else 0


def judge_head(received: bytes) -> int | Answer:
    """Look at the start of a request, before anything parses it.

    Returns:
        The length of the complete head; 0 while it is incomplete; or an answer, for requests that the WebSocket
        library's parser would drop without one (RFC 9110: other methods 405, bodies 413, long heads 431).
    """
    end = end_of_head(received)
    if not end:
        if len(received) > MAX_HEAD_BYTES:
            return plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return 0
    if end > MAX_HEAD_BYTES:
        return plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    request_line, *lines = received[: end - len(_END_OF_HEAD)].split(b"\r\n")
    words = request_line.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return plain(HTTPStatus.BAD_REQUEST)
    if words[0] != b"GET":
        body = b"" if words[0] == b"HEAD" else b"Method Not Allowed\n"
        return Answer(HTTPStatus.METHOD_NOT_ALLOWED, body, headers={"Allow": "GET"})
    for line in lines:
        name, _, value = line.partition(b":")
        length = name.strip().lower() == b"content-length" and value.strip() != b"0"
        if length or name.strip().lower() == b"transfer-encoding":
            return plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "No body is taken here")
    return end


class Router:
    """Answer GET requests by exact path, and count them.

    Args:
        pages: what to do for each path; a page gets the request's headers.
        stats: requests are counted here by path and code.
    """

    def __init__(self, pages: Mapping[str, Callable[[Headers], Answer]], stats: ServerStats) -> None:
        self._pages = pages
        self._stats = stats

    def answer(self, request: Request) -> Answer:
        """Return the answer to a parsed request."""
        path = request.path.partition("?")[0]
        page = self._pages.get(path)
        answer = page(request.headers) if page is not None else plain(HTTPStatus.NOT_FOUND)
        self.count(path, answer.status)
        return answer

    def count(self, path: str, code: int) -> None:
        """Count an answer; a path that is none of ours, or only a part of a page, counts as `other`."""
        label = path if path in self._pages and path in HTTP_PATHS else "other"
        self._stats.http_requests[label, code] = self._stats.http_requests.get((label, code), 0) + 1
