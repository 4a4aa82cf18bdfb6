"""Secrets of URLs and headers are sent to their servers, and never printed."""

from __future__ import annotations

import base64
import http.server
import shlex
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from capacity.cli.main import main
from capacity.cli.resume import combined_arguments
from capacity.config.secrets import has_redaction, redact_arguments, redact_report
from capacity.config.settings import read_settings, secret_flags
from capacity.errors import UsageError
from capacity.measure.prometheus import Prometheus
from stampede.redaction import redact
from tests.capacity import make
from tests.capacity.pages import render_html

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize("text", ["ws://user:secret@host:8080/ws", "wss://host/?access_token=secret"])
def test_a_redacted_secret_is_recognized(text: str) -> None:
    assert not has_redaction(text)
    assert has_redaction(redact(text))
    assert redact(redact(text)) == redact(text)


def test_header_values_are_redacted_in_commands_and_must_be_given_again() -> None:
    command = ["--header", "X-Key: geheim", "--header=Cookie: a=geheim", "--window", "4"]
    shown = redact_arguments(command, secret_flags())
    assert shown == ["--header", "X-Key: ***", "--header=Cookie: ***", "--window", "4"]
    earlier = msgspec.structs.replace(
        make.report([make.step(100)]), command=shlex.join(["python", "-m", "capacity", *shown])
    )
    with pytest.raises(UsageError, match="give --header again"):
        combined_arguments(earlier, [])
    again = combined_arguments(earlier, ["--header", "X-Key: geheim"])
    assert read_settings(again, {}).load.headers == (("X-Key", "geheim"),)


@pytest.mark.parametrize("given", [["--token", "geheim"], ["--token=geheim"]])
def test_a_token_is_redacted_in_commands_and_must_be_given_again(given: list[str]) -> None:
    shown = redact_arguments([*given, "--window", "4"], secret_flags())
    assert "geheim" not in " ".join(shown)
    earlier = msgspec.structs.replace(
        make.report([make.step(100)]), command=shlex.join(["python", "-m", "capacity", *shown])
    )
    with pytest.raises(UsageError, match="give --token again"):
        combined_arguments(earlier, [])
    assert combined_arguments(earlier, given)[-len(given) :] == given
    environment = {"STAMPEDE_CAPACITY_TOKEN": "geheim"}
    again = combined_arguments(earlier, [], environment)
    assert read_settings(again, environment).load.environment({})["LOCUST_TOKEN"] == "geheim"


def test_a_repeatable_option_is_a_list_in_the_environment() -> None:
    headers = """["Cookie: a=1, b=2", "X-Key: 1"]"""
    load = read_settings([], {"STAMPEDE_CAPACITY_HEADER": headers, "STAMPEDE_CAPACITY_INSECURE": "true"}).load
    assert load.headers == (("Cookie", "a=1, b=2"), ("X-Key", "1"))
    assert not load.verifies_tls
    assert read_settings([], {"STAMPEDE_CAPACITY_HEADER": "X-Key: 1"}).load.headers == (("X-Key", "1"),)


def test_a_report_holds_no_secret_in_any_text() -> None:
    url = "ws://user:geheim@host"
    step = make.step(100, notes=[url])
    report = redact_report(
        make.report([step], missing=[url], command=f"python -m capacity --host {url}", settings={"host": url})
    )
    assert b"geheim" not in msgspec.json.encode(report)
    assert report.steps[0].notes == ["ws://***@host"]
    assert "geheim" not in render_html(report)
    assert report.command == "python -m capacity --host ws://***@host"


@pytest.fixture
def guarded() -> Iterator[tuple[str, list[str | None]]]:
    """A web server that accepts only `ann` with `geheim:@`: its host and port, and the received authorizations."""
    came: list[str | None] = []
    right = f"Basic {base64.b64encode(b'ann:geheim:@').decode()}"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200 if came[-1] == right else 401)
            self.end_headers()
            if came[-1] == right:
                self.wfile.write(b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "5"]}}')

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", came
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_user_of_a_prometheus_url_is_sent_as_basic_authentication(
    guarded: tuple[str, list[str | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    place, came = guarded
    assert Prometheus(f"http://ann:geheim%3A%40@{place}").value("2 + 3") == 5
    assert came[0] is not None
    assert main(["mix", "--prometheus", f"http://ann:falsch@{place}"]) == 2
    said = capsys.readouterr().err
    assert f"no Prometheus at http://***@{place}" in said
    assert "answered 401" in said
    assert "falsch" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["--host", "wss://user:geheim@"],
        ["--host", "http://user:geheim@host"],
        ["--prometheus", "ftp://user:geheim@host"],
        ["--metrics", "ws://user:geheim@host"],
        ["--prometheus", "http://user:geheim@127.0.0.1:1"],
        ["--host", "ws://user:geheim@127.0.0.1:1"],
        ["--window", "ws://user:geheim@host"],
        ["--no-such", "ws://user:geheim@host"],
    ],
)
def test_no_error_shows_a_secret(arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    try:
        code = main(["--report", str(tmp_path), "--runs", "", "--bounded", "5", *arguments])
    except SystemExit as ended:  # argparse exits by itself
        code = int(ended.code or 0)
    said = capsys.readouterr()
    assert code == 2
    assert "geheim" not in said.out + said.err


def test_a_resumed_run_needs_its_secrets_again() -> None:
    command = "python -m capacity --host 'ws://***@h' --prometheus=http://***@p --window 4"
    earlier = msgspec.structs.replace(make.report([make.step(100)]), command=command)
    with pytest.raises(UsageError, match="give --host again"):
        combined_arguments(earlier, ["--prometheus", "http://u:p@p"])
    again = combined_arguments(earlier, ["--host", "ws://u:p@h", "--prometheus", "http://u:p@p"])
    assert again == ["--window", "4", "--host", "ws://u:p@h", "--prometheus", "http://u:p@p"]
    assert read_settings(again, {}).host == "ws://u:p@h"
