"""Control of the load generator over its web port."""

from __future__ import annotations

import http.server
import threading
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from capacity.processes.generator import LoadGenerator

if TYPE_CHECKING:
    from collections.abc import Iterator


class RunningProcess:
    """A process that has not exited."""

    def check_after_silence(self) -> None: ...


@pytest.fixture
def commands() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A web port that answers every second request: its address, and the received forms."""
    forms: list[dict[str, list[str]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            forms.append(urllib.parse.parse_qs(body.decode()))
            if len(forms) % 2:
                self.close_connection = True  # the request arrives, but not the response
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"id": 7}')

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", forms
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_storm_request_is_repeated_with_the_same_id(
    commands: tuple[str, list[dict[str, list[str]]]],
) -> None:
    address, forms = commands
    generator = LoadGenerator(RunningProcess(), address, "loadtest")  # type: ignore[arg-type] # the one method that is used
    assert generator.storm(0.5) == 7
    assert len(forms) == 2
    assert forms[0] == forms[1]
    assert forms[0]["request"][0]
    generator.storm(0.5)
    assert forms[2]["request"] != forms[0]["request"]
