"""Serve the live page: the report, its JSON, the page around them and its events. Nothing else can be requested."""

from __future__ import annotations

import contextlib
import ipaddress
import sys
import threading
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import jinja2

from capacity.web.board import Document

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

    from capacity.config.listen_address import ListenAddress
    from capacity.web.board import Board

MOST_CONNECTIONS: Final = 256
TIMEOUT_S: Final = 20.0
"""How long a client may take to send a request, or to read a response."""

_KEEP_ALIVE_S: Final = 15.0
_SCRIPT: Final = Path(__file__).parent / "templates" / "live.js"
_HTML: Final = "text/html; charset=utf-8"
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_NO_REPORT: Final = "there is no measurement yet\n"
_WRONG_HOST: Final = "use the name localhost or the address in the URL: other names are not served\n"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageServer(ThreadingHTTPServer):
    """Serves a board at a socket that listens already, one thread for each connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, address: ListenAddress, board: Board, title: str) -> None:
        """Create a server of a run with this title; `address` is that of the socket `listening`."""
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.board = board
        self.shell = Document.of(_shell(title))
        self.script = Document.of(_SCRIPT.read_bytes())
        self._address = address
        self._connections = 0
        self._requests = 0
        self._changed = threading.Condition()

    def serves_host(self, host: str | None) -> bool:
        """Return whether a request with this Host header is served.

        At a loopback address, a name other than `localhost` is that of a web site which has been made to resolve to
        this machine, so as to read its pages (DNS rebinding). Other addresses have names that are not known here, and
        are readable for anyone who reaches them.
        """
        if host is None or not self._address.is_loopback:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self._address.host):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, unless there are too many."""
        with self._changed:
            is_refused = self._connections >= MOST_CONNECTIONS
            self._connections += 1
        if not is_refused:
            try:
                super().process_request(request, client_address)
            except RuntimeError:  # no further thread could be started
                is_refused = True
        if is_refused:
            self.shutdown_request(request)
            self._count_closed()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._count_closed()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors of this program. That a client is gone or slow is none."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()

    @contextlib.contextmanager
    def responding(self) -> Iterator[None]:
        """Count a request as long as its response is being sent."""
        with self._changed:
            self._requests += 1
        try:
            yield
        finally:
            with self._changed:
                self._requests -= 1
                self._changed.notify_all()

    def wait_idle(self, timeout_s: float) -> None:
        """Wait until no response is being sent, or the timeout passes. Browsers keep idle connections."""
        with self._changed:
            self._changed.wait_for(lambda: not self._requests, timeout_s)

    def _count_closed(self) -> None:
        with self._changed:
            self._connections -= 1


class _Handler(BaseHTTPRequestHandler):
    """One request. Each response closes its connection."""

    server: PageServer
    timeout = TIMEOUT_S
    server_version = "Stampede"
    sys_version = ""

    def do_GET(self) -> None:
        """Respond to a request."""
        with self.server.responding():
            self._answer()

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks up

    def _answer(self) -> None:
        if not self.server.serves_host(self.headers.get("Host")):
            self._send_text(HTTPStatus.MISDIRECTED_REQUEST, _WRONG_HOST)
            return
        path = self.path.partition("?")[0]
        board = self.server.board
        if path == "/":
            self._send(_HTML, self.server.shell)
        elif path == "/live.js":
            self._send("text/javascript; charset=utf-8", self.server.script)
        elif path == "/report.html":
            self._send_report(_HTML, board.page)
        elif path == "/report.json":
            self._send_report(_JSON, board.data)
        elif path == "/events":
            self._send_events()
        else:
            self._send_text(HTTPStatus.NOT_FOUND, "not found\n")

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: the terminal shows the run."""

    def _send_report(self, kind: str, document: Document | None) -> None:
        if document is None:
            self._send_text(HTTPStatus.NOT_FOUND, _NO_REPORT)
        else:
            self._send(kind, document)

    def _send(self, kind: str, document: Document) -> None:
        accepted = [one.strip() for one in self.headers.get("Accept-Encoding", "").split(",")]
        if "gzip" in accepted:
            self._respond(HTTPStatus.OK, kind, document.compressed, {"Content-Encoding": "gzip"})
        else:
            self._respond(HTTPStatus.OK, kind, document.content, {})

    def _send_text(self, status: HTTPStatus, text: str) -> None:
        self._respond(status, _TEXT, text.encode(), {})

    def _respond(self, status: HTTPStatus, kind: str, body: bytes, headers: Mapping[str, str]) -> None:
        self._begin(status, kind, {"Content-Length": str(len(body)), "Vary": "Accept-Encoding", **headers})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _begin(self, status: HTTPStatus, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_events(self) -> None:
        """Send each state of the board as a server-sent event, up to the last; then wait until the client closes."""
        # X-Accel-Buffering: nginx in front must not collect the events.
        self._begin(HTTPStatus.OK, "text/event-stream", {"X-Accel-Buffering": "no"})
        if self.command == "HEAD":
            return
        seen, is_last = 0, False
        while not is_last:
            event = self.server.board.next_event(seen, _KEEP_ALIVE_S)
            if event is None:
                self.wfile.write(b":\n\n")
                continue
            self.wfile.write(b"data: %b\n\n" % event.data)
            seen, is_last = event.number, event.is_last
        # The page closes the stream once it has the last report.
        with contextlib.suppress(OSError):
            while self.connection.recv(1024):
                pass


def _shell(title: str) -> bytes:
    """Return the page around the report."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader("capacity.web"), jinja2.PackageLoader("capacity.report")]),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("live.html.j2").render(title=title).encode()
