"""The live page as the run sees it: its address is checked first, and nothing that happens to it disturbs the run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest
from msgspec.structs import replace

from capacity.config.listen_address import ListenAddress
from capacity.errors import UsageError
from capacity.processes.cores import usable_cores
from capacity.web.live_page import LivePage
from capacity.web.messages import End, Progress
from capacity.web.process import LAST_REPORT_S
from tests.capacity import make
from tests.metrics.fixtures import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

    from capacity.record.report import RunReport

LOOPBACK = ListenAddress("127.0.0.1", 0)


def fail() -> RunReport:
    """Fail like a report with a mistake."""
    raise ValueError("no such figure")


def opened(page: LivePage, path: str) -> HTTPResponse:
    response: HTTPResponse = urllib.request.urlopen(f"{page.url}{path}", timeout=60)  # noqa: S310 - an http: URL
    return response


def get(page: LivePage, path: str) -> bytes:
    with opened(page, path) as response:
        return response.read()


def has_report(page: LivePage) -> bool:
    try:
        return bool(get(page, "report.json"))
    except urllib.error.HTTPError:
        return False


def state_of(page: LivePage) -> dict[str, object]:
    """Return the first event that the page sends."""
    with opened(page, "events") as stream:
        state: dict[str, object] = json.loads(stream.readline().removeprefix(b"data: "))
    return state


def read_last_report(page: LivePage, events: HTTPResponse) -> bytes:
    """Follow the events up to the last, and return the report then."""
    while True:
        line = events.readline()
        if line.startswith(b"data: ") and json.loads(line.removeprefix(b"data: "))["ended"]:
            return get(page, "report.html")


def problem_of(page: LivePage) -> str | None:
    return page.problem


def process_of(page: LivePage) -> psutil.Process:
    """Return the process that serves the page."""
    port = str(page.address)
    return next(one for one in psutil.Process().children() if port in one.cmdline())


@pytest.fixture
def page() -> Iterator[LivePage]:
    with LivePage(LOOPBACK) as page:
        page.start("Capacity", usable_cores()[:1])
        yield page


def test_an_address_in_use_is_an_error_that_names_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError) as refused:
            LivePage(ListenAddress("127.0.0.1", port))
    assert str(refused.value) == (
        f"--web 127.0.0.1:{port}: address already in use; --web 127.0.0.1:0 takes a free port"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a..b", "x" * 64 + ".example"])
def test_an_address_of_no_interface_is_an_error_that_names_the_option(host: str) -> None:
    with pytest.raises(UsageError, match=f"^--web {host}:8090: "):
        LivePage(ListenAddress(host, 8090))


def test_ipv6_is_served() -> None:
    with LivePage(ListenAddress("::1", 0)) as page:
        page.start("Capacity", ())
        assert page.url == f"http://[::1]:{page.address.port}/"
        assert b"Capacity" in get(page, "")


def test_all_addresses_have_a_url_that_other_machines_can_use() -> None:
    with LivePage(ListenAddress("0.0.0.0", 0)) as page:  # noqa: S104 - what the test is about
        assert page.url == f"http://{socket.gethostname()}:{page.address.port}/"


def test_the_page_shows_the_progress_and_the_report(page: LivePage) -> None:
    page.show_progress(Progress("step 1: 100 users (ramp)", phase="measuring"))
    wait_until(lambda: state_of(page)["phase"] == "measuring", "the phase")
    page.show_report(partial(replace, make.report(make.converged(), status="in progress")))
    wait_until(lambda: has_report(page), "the report")
    assert json.loads(get(page, "report.json"))["status"] == "in progress"
    assert b"In progress:" in get(page, "report.html")
    assert b"<svg" in get(page, "report.html")


def test_secrets_are_redacted(page: LivePage) -> None:
    report = make.report([make.step(100)], notes=["see http://user:geheim@other/"])
    page.show_report(partial(replace, report))
    wait_until(lambda: has_report(page), "the report")
    assert b"geheim" not in get(page, "report.html") + get(page, "report.json")


def test_a_report_that_cannot_be_drawn_is_said_and_the_next_one_is_shown(page: LivePage) -> None:
    page.show_report(fail)
    wait_until(lambda: "ValueError: no such figure" in str(state_of(page)["problem"]), "the problem")
    page.show_report(partial(replace, make.report([make.step(100)])))
    wait_until(lambda: has_report(page), "the report")
    assert state_of(page)["problem"] == ""


def test_the_process_uses_only_idle_time_on_the_given_cores(page: LivePage) -> None:
    process = process_of(page)
    wait_until(lambda: process.nice() == 19, "the priority")
    get(page, "")
    assert all(os.sched_getscheduler(thread.id) == os.SCHED_IDLE for thread in process.threads())
    assert process.cpu_affinity() == list(usable_cores()[:1])


def test_a_stopped_process_does_not_delay_the_run(page: LivePage) -> None:
    report = make.report(make.converged())
    process_of(page).send_signal(signal.SIGSTOP)
    began = time.monotonic()
    for number in range(2000):
        page.show_progress(Progress(f"step {number}" * 100))
        page.show_report(partial(replace, report))
    assert time.monotonic() - began < 30  # the messages have 50 MB, a pipe holds 64 KiB
    process_of(page).send_signal(signal.SIGCONT)
    wait_until(lambda: has_report(page), "the report")


def test_a_stopped_process_is_ended() -> None:
    with LivePage(LOOPBACK) as page:
        page.start("Capacity", ())
        process = process_of(page)
        process.send_signal(signal.SIGSTOP)
    assert not process.is_running()


def test_a_process_that_died_is_reported_and_does_not_disturb_the_run(page: LivePage) -> None:
    assert not problem_of(page)
    process_of(page).kill()
    wait_until(lambda: problem_of(page) is not None, "the end of the process")
    assert problem_of(page) == "the live page was ended by SIGKILL"
    for number in range(100):
        page.show_progress(Progress(f"step {number}"))


def test_the_page_ends_with_its_run() -> None:
    with LivePage(LOOPBACK) as page:
        page.start("Capacity", ())
        assert get(page, "")
        process = process_of(page)
    assert not process.is_running()
    with pytest.raises(OSError, match="refused"):
        get(page, "")


def test_a_reader_gets_the_last_report_before_the_page_ends() -> None:
    with LivePage(LOOPBACK) as page:
        page.start("Capacity", ())
        page.show_progress(Progress("step 1"))
        page.set_end(End("This is the final report.", b"<p>last</p>", b"{}"))
        with ThreadPoolExecutor() as pool, opened(page, "events") as events:
            assert events.readline()  # the reader is connected
            reader = pool.submit(read_last_report, page, events)
            page.__exit__()
            assert reader.result(60) == b"<p>last</p>"


def test_a_client_that_hangs_delays_the_end_by_a_few_seconds_at_most(page: LivePage) -> None:
    with socket.create_connection(("127.0.0.1", page.address.port)) as hanging:
        hanging.sendall(b"GET /events HTTP/1.1\r\n\r\n")
        assert hanging.recv(1)
        began = time.monotonic()
        page.__exit__()
        assert LAST_REPORT_S - 0.5 < time.monotonic() - began < LAST_REPORT_S + 20


def test_the_death_of_the_run_ends_the_page() -> None:
    code = """
import os, signal
import psutil
from capacity.config.listen_address import listen_address
from capacity.web.live_page import LivePage
page = LivePage(listen_address("127.0.0.1:0"))
page.start("Capacity", ())
print(psutil.Process().children()[0].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == -signal.SIGKILL
    wait_until(lambda: not psutil.pid_exists(int(run.stdout)), "the end of the page")
