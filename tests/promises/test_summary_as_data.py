"""The summary of a run as JSON, JUnit, Markdown and HTML has the figures of the terminal, however the run ends."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.metrics.fixtures import wait_until
from tests.promises.summary_forms import Forms, texts
from tests.stampede.fixtures import has_delivered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust, WebLocust

USERS = ("-u", "10", "-r", "10", "--room-size", "5", "--message-rate", "5")
WORKERS = ("--processes", "2")
MET = ("--threshold", "deliver_p99<60s", "--threshold", "loss<100%")
FAILED = ("--threshold", "deliver_p50<1us", "--threshold", "loss<100%")
BOTH = pytest.mark.parametrize("processes", [(), WORKERS], ids=["one process", "two workers"])

BROKEN = """
from locust import User, constant, task

class BrokenUser(User):
    wait_time = constant(1)

    @task
    def fail(self):
        raise ValueError("boom")
"""

VISITOR = """
from locust import HttpUser, constant, task

class Visitor(HttpUser):
    wait_time = constant(0.005)

    @task
    def look(self):
        self.client.get("{url}/health", name="look")
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Return the options for the files of `Forms`, which are written to the folder of the test."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    return ("--summary-json", str(tmp_path / "{run}.json"), "--junit", str(tmp_path / "{run}.xml"))


@pytest.fixture
def all_files(tmp_path: Path, files: tuple[str, ...]) -> tuple[str, ...]:
    """Return the same options, and that for Locust's HTML report, which is about the last run of a process."""
    return (*files, "--html", str(tmp_path / "report.html"))


@pytest.mark.parametrize("flags", [MET, (*FAILED, *WORKERS)], ids=["passing", "failing, with workers"])
def test_all_forms_of_a_run_that_ends_by_itself_agree(
    locust: Callable[..., Locust],
    server: RunningServer,
    tmp_path: Path,
    all_files: tuple[str, ...],
    flags: tuple[str, ...],
) -> None:
    ended = locust("--headless", "--host", server.url, "-t", "2s", *USERS, *all_files, *flags, "ChattingUser").wait()
    assert ended.ended_with(0 if flags == MET else 99), ended.out + ended.log
    forms = Forms.of(tmp_path)
    forms.assert_equal_to(ended.out)
    assert forms.data["exit_code"] == ended.code
    assert (forms.data["users"], forms.data["timed_users"], forms.data["dialect"]) == (10, 10, "stampede")
    assert forms.data["scenario"] == "ChattingUser=10"
    assert forms.data["seconds"] > 1.5


@BOTH
def test_an_exception_of_user_code_is_an_invalid_run_in_all_forms(
    locust: Callable[..., Locust],
    server: RunningServer,
    tmp_path: Path,
    all_files: tuple[str, ...],
    processes: tuple[str, ...],
) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    flags = ("-f", f"loadtest,{tmp_path / 'broken.py'}", "-t", "3s", *FAILED, *processes, "ChattingUser", "BrokenUser")
    ended = locust("--headless", "--host", server.url, *USERS, *all_files, *flags).wait(traceback=True)
    assert ended.code == 98
    forms = Forms.of(tmp_path)
    forms.assert_equal_to(ended.out)
    assert any("boom" in reason for reason in forms.data["reasons"])
    assert any(text.startswith("user code: ") for text in texts(forms.markdown, "li"))


def test_requests_of_other_clients_count_until_the_last_one(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, all_files: tuple[str, ...]
) -> None:
    (tmp_path / "visitor.py").write_text(VISITOR.format(url=server.url.replace("ws:", "http:")))
    flags = ("-f", f"loadtest,{tmp_path / 'visitor.py'}", "-t", "2s", *MET, *WORKERS, "ChattingUser", "Visitor")
    ended = locust("--headless", "--host", server.url, *USERS, *all_files, *flags).wait()
    assert ended.ended_with(0), ended.out + ended.log
    forms = Forms.of(tmp_path)
    forms.assert_equal_to(ended.out)
    look = forms.data["requests"]["GET look"]
    assert (look["count"], look["failures"]) == ended.requests("GET")["look"] == ended.own_requests()["GET look"]


@BOTH
def test_all_forms_of_an_interrupted_run_agree(
    locust: Callable[..., Locust],
    server: RunningServer,
    tmp_path: Path,
    all_files: tuple[str, ...],
    processes: tuple[str, ...],
) -> None:
    running = locust("--headless", "--host", server.url, *USERS, *all_files, *MET, *processes, "ChattingUser")
    wait_until(has_delivered(server, 50, joins=10), "messages to be delivered")
    running.interrupt()
    ended = running.wait()
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.out.count("Chat load test") == 1
    forms = Forms.of(tmp_path)
    forms.assert_equal_to(ended.out)
    assert forms.data["exit_code"] == ended.code
    assert forms.data["users"] == 10


def is_chatting(users: int, now: Any) -> bool:
    return bool(now["ready"] == users and now["deliveries"]["received"] > 20)


@BOTH
def test_each_run_of_the_web_page_has_a_summary_and_files_of_its_own(
    web_locust: Callable[..., WebLocust],
    server: RunningServer,
    tmp_path: Path,
    files: tuple[str, ...],
    processes: tuple[str, ...],
) -> None:
    web = web_locust("--host", server.url, *USERS[4:], *files, *MET, *processes, "ChattingUser")
    assert json.loads(web.get("/stampede/summary")) is None
    for run, users in ((1, 10), (2, 6)):
        before = server.samples()['chat_messages_delivered_total{type="chatMessage"}']
        web.post("/swarm", user_count=users, spawn_rate=users)
        web.until(partial(is_chatting, users))
        current = json.loads(web.get("/stampede/summary"))
        assert (current["verdict"], current["exit_code"]) == (None, None)
        assert current["ledger"]["received"] > 20
        web.post("/stop")
        data = Forms.of(tmp_path, run).data
        assert json.loads(web.get("/stampede/summary")) == data
        delivered = server.samples()['chat_messages_delivered_total{type="chatMessage"}'] - before
        assert data["ledger"]["expected"] == data["ledger"]["received"] == delivered
        assert data["users"] == users
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.ended_with(0), ended.out + ended.log
    _, *summaries = ended.out.split("Chat load test\n")
    assert len(summaries) == 2
    for run, shown in enumerate(summaries, start=1):
        Forms.of(tmp_path, run).assert_equal_to(shown)


def test_the_exit_code_is_that_of_the_last_run(web_locust: Callable[..., WebLocust], server: RunningServer) -> None:
    web = web_locust("--host", server.url, *USERS[4:], "--threshold", "deliver_p50<1us", "ChattingUser")
    codes = []
    for threshold in ("deliver_p50<1us", ""):
        web.post("/swarm", user_count=2, spawn_rate=2, threshold=threshold)
        web.until(lambda now: now["deliveries"]["received"] > 5)
        web.post("/stop")
        codes.append(json.loads(web.get("/stampede/summary"))["exit_code"])
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert codes[0] in {99, 98}  # 98 if this machine was too slow
    assert ended.ended_with(0), ended.out + ended.log
    assert codes[1] == ended.code


@pytest.mark.parametrize("name", ["--summary-json", "--junit", "GITHUB_STEP_SUMMARY"])
def test_a_file_that_cannot_be_written_gives_one_line_and_exit_code_2(
    locust: Callable[..., Locust], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file = str(tmp_path / "none" / "file")
    if name.startswith("--"):
        ended = locust("--headless", "-t", "1s", name, file).wait()
    else:
        monkeypatch.setenv(name, file)
        ended = locust("--headless", "-t", "1s").wait()
    assert ended.code == 2
    assert ended.log.splitlines()[-1] == f"locust: error: {name} {file}: no such directory"


def test_a_folder_that_disappears_during_the_run_is_logged_and_no_success(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    flags = ("--summary-json", str(folder / "{run}.json"), *MET, "ChattingUser")
    running = locust("--headless", "--host", server.url, *USERS, *flags)
    wait_until(has_delivered(server, 20), "messages to be delivered")
    folder.rmdir()
    running.interrupt()
    ended = running.wait()
    assert ended.ended_with(2), ended.out + ended.log
    assert f"--summary-json {folder / '1.json'}: No such file or directory" in ended.log


def test_a_run_with_a_dead_worker_has_a_summary_when_it_is_stopped(
    web_locust: Callable[..., WebLocust], server: RunningServer, tmp_path: Path, all_files: tuple[str, ...]
) -> None:
    web = web_locust("--host", server.url, *USERS[4:], *all_files, *MET, *WORKERS, "ChattingUser")
    web.post("/swarm", user_count=10, spawn_rate=10)
    now = web.until(partial(is_chatting, 10))
    os.kill(now["workers"][0]["pid"], signal.SIGKILL)
    web.until(lambda now: len(now["dead_workers"]) == 1)
    web.post("/stop")
    forms = Forms.of(tmp_path)
    assert forms.data["users"] == 10
    assert (forms.data["verdict"], forms.data["exit_code"], forms.data["generator"]["workers"]) == ("invalid", 98, 1)
    assert any("died" in reason for reason in forms.data["reasons"])
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.code == 98
    assert ended.out.count("Chat load test") == 1
    Forms.of(tmp_path).assert_equal_to(ended.out)  # now with Locust's report
