"""A Prometheus that scrapes nothing, and that stops answering when it is told: it accepts connections and is silent."""

from __future__ import annotations

import http.server
import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterator


class HangingPrometheus:
    """Answers each query with one sample, until `hang` is set; `unanswered` counts the queries after that."""

    def __init__(self) -> None:
        self.hang = threading.Event()
        self.unanswered = 0
        self._ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve in threads; yield the URL."""
        prometheus = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                if prometheus.hang.is_set():
                    prometheus.unanswered += 1
                    prometheus._ended.wait()
                    return
                body = json.dumps(_answer(form["query"][0])).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            self._ended.set()
            server.shutdown()
            thread.join()
            server.server_close()


def _answer(query: str) -> dict[str, object]:
    """Return a vector, or the samples of a range such as `x[60s]`."""
    sample = [time.time(), "1"]
    is_range = query.endswith("s]")
    series = {"metric": {"__name__": "chat_connections"}, **({"values": [sample]} if is_range else {"value": sample})}
    return {"status": "success", "data": {"resultType": "matrix" if is_range else "vector", "result": [series]}}
