"""HTTP service discovery of the workers' metrics for Prometheus, and the health of the workers.

A worker may listen on every address. Its target is then the local address of the request: Prometheus reached this
process there, so it reaches the worker there too.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import ExitStack
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import structlog

from server.runtime.exception_fields import exception_fields
from server.runtime.listen import bind, bracket_ipv6, url_host

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

_TEXT: Final = "text/plain; charset=utf-8"
_WILDCARD_HOSTS: Final = ("0.0.0.0", "[::]")  # noqa: S104 - compared, not bound
_REQUEST_SECONDS: Final = 10
"""Timeout for receiving a request."""

_MAX_REQUESTS: Final = 32
"""Concurrent requests; each needs a thread and a file descriptor."""

log = structlog.get_logger()


class MetricsPage(Protocol):
    """A rendered page of metrics."""

    @property
    def body(self) -> bytes: ...
    @property
    def content_type(self) -> str: ...


class WorkerState(Protocol):
    """The state of a worker that `/health` depends on."""

    restarts: int
    is_ready: bool


class ServiceDiscovery:
    """Serve `/targets` (http_sd_config), `/metrics` and `/health` in threads while the context is entered.

    Args:
        host: host to listen on.
        port: port to listen on; 0: any free port.
        addresses: addresses of the workers' metrics by worker number; read for each request.
        workers: state of the workers; read for each request.
        render: returns the metrics page of the supervisor.

    Raises:
        SettingsError: the address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        addresses: Mapping[int, str],
        workers: Sequence[WorkerState],
        render: Callable[[str, str], MetricsPage],
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = _REQUEST_SECONDS

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/targets":
                    asked_at = str(self.connection.getsockname()[0])
                    self._answer(HTTPStatus.OK, "application/json", _targets(addresses, asked_at))
                elif path == "/metrics":
                    page = render(self.headers.get("Accept", ""), "")
                    self._answer(HTTPStatus.OK, page.content_type, page.body)
                elif path == "/health":
                    missing = sum(not worker.is_ready for worker in workers)
                    if missing:
                        self._answer(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"{missing} workers missing".encode())
                    else:
                        self._answer(HTTPStatus.OK, _TEXT, b"OK")
                else:
                    self._answer(HTTPStatus.NOT_FOUND, _TEXT, b"")

            do_HEAD = do_GET  # noqa: N815 - the name that http.server looks up

            def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing: Prometheus sends requests continuously."""

        sockets = bind(host, port)
        self._servers = [_Server(each, Handler) for each in sockets]
        self._threads = [threading.Thread(target=each.serve_forever, daemon=True) for each in self._servers]
        self.url = f"http://{url_host(host, sockets[0])}:{sockets[0].getsockname()[1]}/targets"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    """An HTTP server on a socket that is bound already."""

    daemon_threads = True

    def __init__(self, bound: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(bound.getsockname()[:2], handler, bind_and_activate=False)
        self._slots = threading.BoundedSemaphore(_MAX_REQUESTS)
        self.socket.close()
        self.socket = bound
        with ExitStack() as stack:
            stack.callback(bound.close)
            self.server_activate()
            stack.pop_all()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the request, or close the connection when the maximum number is running."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle the request and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, _request: object, _address: object) -> None:
        """Log an error, except one of a broken connection."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            log.error("request failed", **exception_fields(error))


def _targets(addresses: Mapping[int, str], asked_at: str) -> bytes:
    numbered = [(number, _reachable(address, asked_at)) for number, address in sorted(addresses.items())]
    return json.dumps([{"targets": [address], "labels": {"worker": str(n)}} for n, address in numbered]).encode()


def _reachable(address: str, asked_at: str) -> str:
    """Return the address with `asked_at` in place of a wildcard host."""
    host, _, port = address.rpartition(":")
    return f"{_url_address(asked_at)}:{port}" if host in _WILDCARD_HOSTS else address


def _url_address(address: str) -> str:
    """Return an address as written in a URL; an IPv4-mapped IPv6 address becomes IPv4."""
    ip = ip_address(address)
    return bracket_ipv6(str(ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else address)
