"""Map the path of a request to a page, and count the responses.

Every request is answered, and every response ends its connection: pages are requested rarely.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.datastructures import Headers

from server.http.response import ALLOW, HttpResponse, plain
from server.stats import HTTP_PATHS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from websockets.http11 import Request

    from server.stats import ServerStats

Page = Callable[[Headers], HttpResponse]
"""Returns the response to a GET request with these headers."""

_UPGRADE_REQUIRED: Final = plain(
    HTTPStatus.UPGRADE_REQUIRED,
    "This path serves WebSockets. The request has no 'Upgrade: websocket' header, or is not HTTP/1.1. "
    "If there is a proxy in front of this server, check that it passes the header on.",
    headers={"Upgrade": "websocket"},
)


class Router:
    """Respond to requests for pages by exact path.

    Args:
        pages: the page of each path.
        stats: responses are counted here by path and status code.
    """

    def __init__(self, pages: Mapping[str, Page], stats: ServerStats) -> None:
        self._pages = pages
        self._stats = stats

    def respond(self, request: Request, path: str, *, is_websocket: bool = False) -> HttpResponse:
        """Return the response to a request without an upgrade.

        Args:
            request: its method is one of `ALLOW`.
            path: decoded, without the query; `*` for the server as a whole.
            is_websocket: whether the path serves WebSockets.
        """
        page = self._pages.get(path)
        if page is not None:
            response = page(request.headers)
        elif path == "*":
            response = plain(HTTPStatus.OK)
        elif is_websocket:
            response = _UPGRADE_REQUIRED
        else:
            response = plain(HTTPStatus.NOT_FOUND)
        if request.method == "OPTIONS" and response.status == HTTPStatus.OK:
            response = HttpResponse(HTTPStatus.NO_CONTENT, b"", headers={"Allow": ", ".join(ALLOW)})
        self.count(path, response.status)
        return response

    def count(self, path: str, code: int) -> None:
        """Count a response; unknown paths, and scripts and styles of the pages, count as `other`."""
        label = path if path in self._pages and path in HTTP_PATHS else "other"
        self._stats.count_response(label, code)
