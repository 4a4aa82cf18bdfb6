"""Where the workers' metrics are, for Prometheus' HTTP service discovery, and how the workers themselves fare."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Protocol, Self

from server.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from server.pages import MetricsPage

_TEXT: Final = "text/plain; charset=utf-8"


class WorkerState(Protocol):
    """What is told of a worker."""

    restarts: int
    is_ready: bool


class Discovery:
    """Answers `/targets` (http_sd_config), `/metrics` and `/health`, in a thread of its own.

    Args:
        host: address to listen on.
        port: port; 0: any.
        addresses: of the workers' metrics; looked at with each request.
        workers: looked at with each request.
        render: returns the page of metrics.

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
            def do_GET(self) -> None:
                if self.path == "/targets":
                    self._answer(HTTPStatus.OK, "application/json", _targets(addresses))
                elif self.path == "/metrics":
                    page = render(self.headers.get("Accept", ""), "")
                    self._answer(HTTPStatus.OK, page.content_type, page.body)
                elif self.path == "/health":
                    missing = sum(not worker.is_ready for worker in workers)
                    if missing:
                        self._answer(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"{missing} workers missing".encode())
                    else:
                        self._answer(HTTPStatus.OK, _TEXT, b"OK")
                else:
                    self._answer(HTTPStatus.NOT_FOUND, _TEXT, b"")

            def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing: it is asked each second."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise SettingsError(f"cannot listen on {host}:{port}: {str(error.strerror).lower()}") from None
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://{host}:{self._server.server_port}/targets"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _targets(addresses: Mapping[int, str]) -> bytes:
    numbered = sorted(addresses.items())
    return json.dumps([{"targets": [address], "labels": {"worker": str(n)}} for n, address in numbered]).encode()
