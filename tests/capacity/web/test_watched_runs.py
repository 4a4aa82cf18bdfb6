"""Real runs with a live page: it shows them from their start to their report, and never stands in their way."""

from __future__ import annotations

import json
import signal
import socket
import threading
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.capacity.run_options import TOLERANT, USERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPResponse

    from playwright.sync_api import Browser

    from tests.capacity.fixtures import Run

WEB = ("--web", "127.0.0.1:0")
MAIN = "document.querySelector('main').innerHTML"


def url_of(run: Run) -> str:
    """Return the URL that the run prints first, before anything else happens."""
    assert run.process.stdout is not None
    name, _, url = run.process.stdout.readline().strip().partition(": ")
    assert name == "live report"
    return url


class Reader(threading.Thread):
    """Follows a page as a browser does: reads its events, and its report after the last one."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.states: list[dict[str, Any]] = []
        self.page = self.data = b""
        self.start()

    def run(self) -> None:
        with self.open("events") as stream:
            for line in stream:
                if line.startswith(b"data: "):
                    self.states.append(json.loads(line.removeprefix(b"data: ")))
                    if self.states[-1]["ended"]:
                        break
            if self.states[-1]["report"]:
                self.page, self.data = self.get("report.html"), self.get("report.json")

    def open(self, path: str) -> HTTPResponse:
        response: HTTPResponse = urllib.request.urlopen(f"{self.url}{path}", timeout=100)  # noqa: S310 - an http: URL
        return response

    def get(self, path: str) -> bytes:
        with self.open(path) as response:
            return response.read()

    @property
    def activities(self) -> list[str]:
        """What the run did, in its order."""
        return list(dict.fromkeys(state["activity"] for state in self.states))


def test_the_page_follows_a_run_to_its_report(capacity: Callable[..., Run], chromium: Browser) -> None:
    run = capacity(*WEB, "--steps", f"{USERS},4,6", *TOLERANT)
    url = url_of(run)
    reader = Reader(url)
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(url)
        expect(page.locator(".live")).to_contain_text("In progress")
        expect(page.locator(".banner")).to_contain_text("the answer may change")
        expect(page.locator(".sentence")).to_contain_text("So far: ")
        expect(page.locator("#measurements svg").first).to_be_attached()  # from the second level on
        assert run.process.poll() is None
        expect(page.locator(".live")).to_contain_text(f"saved as {run.folder}/report.html")
        expect(page.locator(".banner")).to_have_count(0)
        assert run.wait() == 0, run.errors
        saved = context.new_page()
        saved.goto((run.folder / "report.html").as_uri())
        assert page.evaluate(MAIN) == saved.evaluate(MAIN)
        assert page.title() == saved.title()
    reader.join()
    assert reader.page == (run.folder / "report.html").read_bytes()
    assert reader.data == (run.folder / "report.json").read_bytes()
    levels = [text.partition(": ")[2] for text in reader.activities if text.endswith("users (given)")]
    assert levels == [f"{USERS} users (given)", "4 users (given)", "6 users (given)"]
    assert "measuring" in {state["phase"] for state in reader.states}
    assert any(state["figures"] for state in reader.states)
    with pytest.raises(OSError, match="refused"):
        reader.get("")


def test_ctrl_c_reaches_the_page_with_the_partial_report(capacity: Callable[..., Run]) -> None:
    run = capacity(*WEB, "--steps", ",".join([USERS] * 50), *TOLERANT)
    reader = Reader(url_of(run))
    run.await_first_verdict()
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 130
    reader.join()
    assert run.error == "capacity: interrupted by Ctrl-C"
    ended = reader.states[-1]["ended"]
    assert ended.startswith("Interrupted by Ctrl-C. This is the partial report, saved as ")
    assert reader.page == (run.folder / "report.html").read_bytes()


def test_a_run_that_cannot_start_says_so_on_the_page(capacity: Callable[..., Run]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # no chat server: the check of the load generator fails
        host = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        run = capacity(*WEB, "--host", host, "--bounded", USERS, *TOLERANT)
        reader = Reader(url_of(run))
        code = run.wait()
    assert code != 0
    reader.join()
    assert reader.states[-1]["ended"].lower().startswith(run.error.removeprefix("capacity: ").lower())


def test_an_address_in_use_is_one_line_and_nothing_is_started(capacity: Callable[..., Run]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        run = capacity("--web", address, "--bounded", USERS, *TOLERANT)
        output, run.errors = run.process.communicate(timeout=60)
    assert run.process.returncode == 2
    assert output == ""
    assert run.error.startswith(f"capacity: --web {address}: address already in use")
    assert not (run.folder / "report.json").exists()


def test_hanging_clients_do_not_disturb_a_run(capacity: Callable[..., Run]) -> None:
    run = capacity(*WEB, "--bounded", USERS, *TOLERANT)
    url = url_of(run)
    port = int(url.rstrip("/").rpartition(":")[2])
    with ExitStack() as stack:
        for number in range(100):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            client.sendall((b"", b"GET /rep", b"GET /events HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n")[number % 4])
        assert run.wait() == 0, run.errors
    assert run.errors == ""
    assert run.report.steps[-1].verdict == "pass"


def test_a_page_that_died_is_said_at_the_end_and_the_run_answers(capacity: Callable[..., Run]) -> None:
    run = capacity(*WEB, "--bounded", USERS, *TOLERANT)
    url_of(run)
    run.await_line("starting the load generator")
    run.child("capacity.web.process").kill()
    assert run.wait() == 0
    assert run.error == "capacity: the live page was ended by SIGKILL"
    assert run.report.status == "complete"


def test_storms_are_shown_one_by_one(capacity: Callable[..., Run]) -> None:
    run = capacity(*WEB, "--storm", "20", *TOLERANT, "--slo", "resync_p95<60s", "--backoff", "none")
    reader = Reader(url_of(run))
    assert run.wait() == 0, run.errors
    reader.join()
    assert any(text.startswith("storm: ") for text in reader.activities)
    storm = run.report.storm
    assert storm is not None
    # A report after the step, after storms, and the last one; one that is being drawn may be left out.
    assert 3 <= reader.states[-1]["report"] <= len(storm.storms) + 2
    assert reader.page == (run.folder / "report.html").read_bytes()


def test_a_drill_shows_its_users_before_the_command_has_ended(capacity: Callable[..., Run]) -> None:
    run = capacity(*WEB, "--users", USERS, "--run", "sleep 8", *TOLERANT, command="drill")
    reader = Reader(url_of(run))
    assert run.wait() == 0, run.errors
    reader.join()
    assert [text for text in reader.activities if text.startswith("step")] == [f"step 1: {USERS} users (baseline)"]
    phases = list(dict.fromkeys(state["phase"] for state in reader.states))
    assert "running the command" in phases
    assert reader.states[-1]["report"] == 2  # before the command has ended, and at the end
    assert reader.page == (run.folder / "report.html").read_bytes()


def test_several_searches_share_one_page(capacity: Callable[..., Run]) -> None:
    run = capacity(*WEB, "--workers-list", "1,2", "--users-min", USERS, "--users-max", USERS, *TOLERANT)
    reader = Reader(url_of(run))
    assert run.wait() == 0, run.errors
    reader.join()
    assert reader.page == (run.folder / "report.html").read_bytes()
    assert run.report.scaling is not None
