"""The metrics page of a server over TLS, with the headers of its users, and below a path prefix."""

from __future__ import annotations

import http.server
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from capacity.http_client import Access
from capacity.measure.sources import PageOfServer, SourceError, metrics_urls
from stampede.websocket.tls import client_context
from tests.promises.certificates import Authority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Received = list[tuple[str, str | None]]

METRICS = b"chat_connections 5\n"
KEY = ("X-Key", "geheim")


@contextmanager
def pages(
    paths: Sequence[str], tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Serve metrics at some paths; yield host and port, and the received requests: path and key."""
    received: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append((self.path, self.headers["X-Key"]))
            self.send_response(200 if self.path in paths else 404)
            self.end_headers()
            self.wfile.write(METRICS)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def test_a_page_behind_a_private_authority_is_read_as_users_connect(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with pages(["/metrics"], authority.server_context()) as (place, received):
        url = f"wss://{place}"
        for verify, ca_file in ((True, str(authority.trusted)), (False, None)):
            tls = client_context(verify=verify, ca_file=ca_file)
            assert PageOfServer(url, access=Access("127.0.0.1", (KEY,), tls)).read().connections == 5
        assert received[0] == ("/metrics", "geheim")
        with pytest.raises(SourceError, match="certificate verify failed"):
            PageOfServer(url).read()


@pytest.mark.parametrize(
    ("url", "path", "requested"),
    [
        ("/chat/", "", ["/chat/metrics"]),
        ("/site/chat/ws", "", ["/site/chat/ws/metrics", "/site/chat/metrics"]),
        ("/ws", "/chat/", ["/ws/metrics", "/metrics"]),
        ("", "/chat/ws", ["/chat/ws/metrics", "/chat/metrics"]),
        ("", "", ["/metrics"]),
    ],
)
def test_the_page_is_searched_below_each_prefix_of_the_path(url: str, path: str, requested: list[str]) -> None:
    with pages([requested[-1]]) as (place, received):
        source = PageOfServer(f"ws://{place}{url}", path)
        assert source.read().connections == 5
        searched = [asked for asked, _ in received]
        assert list(dict.fromkeys(searched)) == requested
        source.read()
    assert [asked for asked, _ in received][len(searched) :] == requested[-1:]


def test_without_a_page_the_one_at_the_host_is_named() -> None:
    with (
        pages([]) as (place, _),
        pytest.raises(SourceError, match=f"no metrics at http://{place}/metrics answered 404"),
    ):
        PageOfServer(f"ws://{place}/chat/").read()


def test_other_hosts_get_no_headers() -> None:
    with pages(["/metrics"]) as (place, received):
        assert PageOfServer(f"ws://{place}", access=Access("chat.example.org", (KEY,))).read().connections == 5
    assert received[0] == ("/metrics", None)


def test_the_user_of_the_address_is_kept() -> None:
    assert metrics_urls("wss://ann:geheim@host:8443/chat/?token=x", "") == [
        "https://ann:geheim@host:8443/chat/metrics",
        "https://ann:geheim@host:8443/metrics",
    ]
