"""Control of the load generator over its web port."""

from __future__ import annotations

import http.server
import threading
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from capacity.config.settings import read_settings
from capacity.processes.generator import GeneratorOptions, LoadGenerator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class RecordingChildren:
    """Keeps the command and the environment of a process that would be started."""

    def start(self, _name: str, command: Sequence[str], *, environment: Mapping[str, str], **_: object) -> None:
        self.command = " ".join(command)
        self.environment = environment


def test_secrets_are_in_the_environment_of_locust_and_not_on_its_command_line(tmp_path: Path) -> None:
    children = RecordingChildren()
    load = read_settings(["--token", "geheim1", "--http-host", "http://ann:geheim2@host"], {}).load
    options = GeneratorOptions(
        host="wss://host/?token=geheim3",
        locustfile="shop.py",
        mix={"Buyer": 1},
        environment=load.environment({}),
        processes=1,
        cores=(),
    )
    LoadGenerator.start(options, folder=tmp_path, children=children, progress=print)  # type: ignore[arg-type] # records
    assert "geheim" not in children.command
    passed = [children.environment[name] for name in ("LOCUST_TOKEN", "LOCUST_HTTP_HOST", "LOCUST_HOST")]
    assert passed == ["geheim1", "http://ann:geheim2@host", "wss://host/?token=geheim3"]


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
