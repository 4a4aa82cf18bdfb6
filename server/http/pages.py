"""The pages: HTML, scripts and styles, /health, /api/status and /metrics."""

from __future__ import annotations

import os
import re
import socket
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from server import __version__
from server.http.response import HttpResponse, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from websockets.datastructures import Headers

    from server.chat.hub import Hub
    from server.http.router import Page
    from server.stats import ServerStats

WEB: Final = Path(__file__).parent.parent / "web"
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src {connect}; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"  # the browser refuses to parse text as HTML
)
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")  # a policy cannot contain an IPv6 address
_PAGE_PATHS: Final = {"index": "/", "live": "/live"}
_CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
_METRICS_ON_OTHER_PORT: Final = (
    "This server serves /metrics on another address (--metrics-port), which it prints when it starts. "
    "With --workers that address serves /targets, a list of the metrics addresses of all workers for Prometheus"
)
_RATE_SECONDS: Final = 5.0


class MetricsPage(Protocol):
    """A rendered page of metrics."""

    @property
    def body(self) -> bytes: ...
    @property
    def content_type(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


class MessageRate:
    """Messages received per second over the last few seconds.

    Args:
        stats: the counters.
        clock: monotonic seconds.
    """

    __slots__ = ("_clock", "_samples", "_stats")

    def __init__(self, stats: ServerStats, clock: Callable[[], float]) -> None:
        self._stats = stats
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque([(clock(), self._received)])

    def sample(self) -> None:
        """Store the current count of messages; call this about once per second."""
        now = self._clock()
        self._samples.append((now, self._received))
        while now - self._samples[0][0] > _RATE_SECONDS:
            self._samples.popleft()

    def per_second(self) -> float:
        """Return the rate since the oldest sample."""
        now = self._clock()
        since, before = self._samples[0]
        return (self._received - before) / (now - since) if now > since else 0.0

    @property
    def _received(self) -> int:
        return sum(self._stats.messages_received.values())


class ClusterView(Protocol):
    """The sums over the other nodes of a cluster."""

    @property
    def is_connected(self) -> bool: ...
    @property
    def connections(self) -> int: ...
    @property
    def messages_per_second(self) -> float: ...
    @property
    def rooms(self) -> int: ...


class Draining(Protocol):
    """The part of `Admission` that the pages show."""

    draining: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The state that /health and /api/status show.

    Attributes:
        started_at: when the server started, on its monotonic clock.
        cluster: the other nodes; None for a single process.
    """

    stats: ServerStats
    hub: Hub
    admission: Draining
    rate: MessageRate
    clock: Callable[[], float]
    started_at: float
    cluster: ClusterView | None

    def health(self, _headers: Headers) -> HttpResponse:
        """Respond 200, or 503 with the reason for which a load balancer should choose another server."""
        if self.admission.draining:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, "draining")
        if self.cluster is not None and not self.cluster.is_connected:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, "bus silent")
        return HttpResponse(HTTPStatus.OK, b"OK")

    def api_status(self, _headers: Headers) -> HttpResponse:
        """Respond with JSON: connections, rooms and messages of all nodes, the rest of this process."""
        cluster = self.cluster
        report = {
            "connections": self.stats.connections + (cluster.connections if cluster else 0),
            "uptime": round(self.clock() - self.started_at, 3),
            "rooms": cluster.rooms if cluster else len(self.hub.registry.rooms),
            "messagesPerSecond": round(self.rate.per_second() + (cluster.messages_per_second if cluster else 0), 1),
            "version": __version__,
            "draining": self.admission.draining,
            "node": f"{socket.gethostname()}:{os.getpid()}",
        }
        body = msgspec.json.encode(report)
        return HttpResponse(HTTPStatus.OK, body, "application/json", {"Cache-Control": "no-store"})


def public_pages(status: Status, render_metrics: Callable[[str, str], MetricsPage] | None) -> dict[str, Page]:
    """Return the pages of the public address.

    Args:
        status: the state for /health and /api/status.
        render_metrics: renders /metrics; None if another address serves it.
    """
    pages: dict[str, Page] = {"/health": status.health, "/api/status": status.api_status}
    if render_metrics is not None:
        pages |= metrics_pages(render_metrics)
    else:
        pages["/metrics"] = lambda _headers: plain(HTTPStatus.NOT_FOUND, _METRICS_ON_OTHER_PORT)
    for file in WEB.iterdir():
        if file.suffix in _CONTENT_TYPES:
            path = _PAGE_PATHS[file.stem] if file.suffix == ".html" else f"/{file.name}"
            pages[path] = _static_page(file.read_bytes(), _CONTENT_TYPES[file.suffix])
    return pages


def metrics_pages(render: Callable[[str, str], MetricsPage]) -> dict[str, Page]:
    """Return the pages of the metrics address.

    Args:
        render: renders the metrics for the values of the headers Accept and Accept-Encoding.
    """

    def metrics(headers: Headers) -> HttpResponse:
        # A list may be spread over several fields (RFC 9110, section 5.3).
        accept, encodings = (", ".join(headers.get_all(name)) for name in ("Accept", "Accept-Encoding"))
        page = render(accept, encodings)
        return HttpResponse(HTTPStatus.OK, page.body, page.content_type, page.headers)

    return {"/metrics": metrics}


def content_security_policy(host: str) -> str:
    """Return the Content-Security-Policy for a page requested with this Host header."""
    # In Safari before 15.4 'self' does not cover WebSockets.
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return _CONTENT_SECURITY_POLICY.format(connect=f"'self'{sockets}")


def _static_page(body: bytes, content_type: str) -> Page:
    def page(headers: Headers) -> HttpResponse:
        return HttpResponse(
            HTTPStatus.OK,
            body,
            content_type,
            {
                "Content-Security-Policy": content_security_policy(", ".join(headers.get_all("Host"))),
                "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-cache",  # so that a browser never combines a page and scripts of two releases
            },
        )

    return page
