"""What GET answers: the pages and their parts, health, status, metrics."""

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
    from server.stats import ServerStats

WEB: Final = Path(__file__).parent.parent / "web"
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src {connect}; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"  # no text becomes HTML, not even by mistake
)
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")  # that a policy can name: no IPv6 address is
_PAGES: Final = {"index": "/", "live": "/live"}
_CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
_METRICS_ELSEWHERE: Final = (
    "Metrics have an address of their own here (--metrics-port); the server names it when it starts. "
    "With --workers that is /targets, which lists the addresses of all workers for Prometheus"
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


class RecentRate:
    """Events per second over the last few seconds, from samples of a running count."""

    __slots__ = ("_samples",)

    def __init__(self, now: float) -> None:
        self._samples: deque[tuple[float, int]] = deque([(now, 0)])

    def sample(self, now: float, count: int) -> None:
        """Take the count as it stands; call about once a second."""
        self._samples.append((now, count))
        while now - self._samples[0][0] > _RATE_SECONDS:
            self._samples.popleft()

    def per_second(self, now: float, count: int) -> float:
        """Return the rate from the oldest sample kept until now."""
        since, before = self._samples[0]
        return (count - before) / (now - since) if now > since else 0.0


class ClusterView(Protocol):
    """The other nodes of a cluster, in sum."""

    @property
    def is_connected(self) -> bool: ...
    @property
    def connections(self) -> int: ...
    @property
    def messages_per_second(self) -> float: ...
    @property
    def rooms(self) -> int: ...


@dataclass(slots=True)
class Status:
    """What the pages tell: totals over all nodes, the rest about this process.

    Attributes:
        draining: why no more clients are wanted, once they are not.
        cluster: the other nodes, if this process is one of several.
    """

    stats: ServerStats
    hub: Hub
    clock: Callable[[], float]
    started_at: float
    rate: RecentRate
    draining: str = ""
    cluster: ClusterView | None = None

    @property
    def trouble(self) -> str:
        """Why a load balancer should send its clients elsewhere, or nothing."""
        if self.draining:
            return self.draining
        return "" if self.cluster is None or self.cluster.is_connected else "bus silent"

    @property
    def messages_per_second(self) -> float:
        """What this process receives."""
        return self.rate.per_second(self.clock(), self.received)

    @property
    def received(self) -> int:
        """Messages received so far."""
        return sum(self.stats.messages_received.values())


def pages(
    status: Status, render_metrics: Callable[[str, str], MetricsPage] | None
) -> dict[str, Callable[[Headers], HttpResponse]]:
    """Return what to answer for each path; without `render_metrics`, /metrics is not among them."""

    def health(_headers: Headers) -> HttpResponse:
        if trouble := status.trouble:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, trouble)
        return HttpResponse(HTTPStatus.OK, b"OK")

    def api_status(_headers: Headers) -> HttpResponse:
        cluster = status.cluster
        report = {
            "connections": status.stats.connections + (cluster.connections if cluster else 0),
            "uptime": round(status.clock() - status.started_at, 3),
            "rooms": cluster.rooms if cluster else len(status.hub.registry.rooms),
            "messagesPerSecond": round(status.messages_per_second + (cluster.messages_per_second if cluster else 0), 1),
            "version": __version__,
            "draining": bool(status.draining),
            "node": f"{socket.gethostname()}:{os.getpid()}",
        }
        return HttpResponse(
            HTTPStatus.OK, msgspec.json.encode(report), "application/json", {"Cache-Control": "no-store"}
        )

    answers: dict[str, Callable[[Headers], HttpResponse]] = {"/health": health, "/api/status": api_status}
    if render_metrics is not None:
        answers |= metrics_pages(render_metrics)
    else:
        answers["/metrics"] = lambda _headers: plain(HTTPStatus.NOT_FOUND, _METRICS_ELSEWHERE)
    for file in WEB.iterdir():
        if file.suffix in _CONTENT_TYPES:
            path = _PAGES[file.stem] if file.suffix == ".html" else f"/{file.name}"
            answers[path] = _asset(file.read_bytes(), _CONTENT_TYPES[file.suffix])
    return answers


def metrics_pages(render: Callable[[str, str], MetricsPage]) -> Mapping[str, Callable[[Headers], HttpResponse]]:
    """Return /metrics alone, for an address of its own."""

    def metrics(headers: Headers) -> HttpResponse:
        # A list may come in several fields (RFC 9110, section 5.3).
        accept, encodings = (", ".join(headers.get_all(name)) for name in ("Accept", "Accept-Encoding"))
        page = render(accept, encodings)
        return HttpResponse(HTTPStatus.OK, page.body, page.content_type, page.headers)

    return {"/metrics": metrics}


def content_security_policy(host: str) -> str:
    """Return the policy of a page that was asked for under this Host header."""
    # In Safari before 15.4 'self' does not cover WebSockets.
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return _CONTENT_SECURITY_POLICY.format(connect=f"'self'{sockets}")


def _asset(body: bytes, content_type: str) -> Callable[[Headers], HttpResponse]:
    def asset(headers: Headers) -> HttpResponse:
        return HttpResponse(
            HTTPStatus.OK,
            body,
            content_type,
            {
                "Content-Security-Policy": content_security_policy(", ".join(headers.get_all("Host"))),
                "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-cache",  # so that page and scripts are of one version
            },
        )

    return asset
