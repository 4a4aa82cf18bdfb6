"""Capacity runs of own users, and of servers that require a token, a private authority or a path prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.capacity.run_options import TOLERANT, run_until
from tests.promises.certificates import Authority
from tests.promises.nginx_process import nginx
from tests.promises.server_process import launch
from tests.server.http.test_auth import SECRET, token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.capacity.fixtures import Run
    from tests.processes import RunningServer

SHOP = """
from locust import between, events, task
from stampede import ChatUser
from stampede.dialects.stampede import StampedeDialect

class ShopDialect(StampedeDialect):
    name = "shop"
    path = "/ws/chat"

@events.init_command_line_parser.add_listener
def add_options(parser):
    parser.add_argument("--shop-name", env_var="SHOP_NAME", default="shop")

class Buyer(ChatUser):
    dialect = ShopDialect()
    wait_time = between(0.05, 0.1)

    @task
    def ask(self):
        self.client.say("How much is it?")

class Seller(ChatUser):
    wait_time = between(0.05, 0.1)

    @task
    def answer(self):
        with self.client.measure(self.environment.parsed_options.shop_name):
            self.client.say("It is free.")
"""
LOGIN = """
from locust import between, task
from stampede import ChatUser, Credentials

class Guest(ChatUser):
    wait_time = between(0.05, 0.1)

    def login(self):
        return Credentials(token="x.y.z")

    @task
    def ask(self):
        self.client.say("Hello?")
"""

MIXED = """
from locust import User, between, task
from stampede import ChatUser

class Buyer(ChatUser):
    wait_time = between(0.05, 0.1)

    @task
    def ask(self):
        self.client.say("How much is it?")

class Browser(User):
    wait_time = between(0.05, 0.1)

    @task
    def look(self):
        request = {"request_type": "GET", "name": "/offers", "response_time": 5, "response_length": 0}
        self.environment.events.request.fire(**request, exception=None, context={})
"""
BOUNDED = ("--bounded", "4", *TOLERANT, "--slo", "loss<0.1%")


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """A locustfile of two classes and an option of its own."""
    (tmp_path / "shop.py").write_text(SHOP)
    return str(tmp_path / "shop.py")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    tmp_path.chmod(0o755)  # the workers of nginx are of another user
    return Authority(tmp_path)


@pytest.fixture
def secured(authority: Authority, tmp_path: Path) -> Iterator[str]:
    """A server with a certificate of a private authority, which requires a token."""
    (tmp_path / "secret").write_text(SECRET)
    with launch(*authority.flags, "--jwt-secret-file", str(tmp_path / "secret")) as server:
        yield server.url


def test_own_users_are_measured_on_a_server_with_tokens_and_a_private_authority(
    capacity: Callable[..., Run],
    shop: str,
    secured: str,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_NAME", "sale")
    secret = token()
    access = ("--token", secret, "--ca-file", str(authority.trusted))
    scenario = ("--locustfile", shop, "--mix", "Buyer=3,Seller=1", "--slo", "sale:p99<60s")
    run = run_until(capacity, 0, "--host", secured, *access, *scenario, *BOUNDED)
    report = run.report
    assert (report.answer.scenario, report.answer.dialect) == ("shop.py: Buyer=3,Seller=1", "shop")
    words = f"The shop server at {secured} holds 4 users of shop.py: Buyer=3,Seller=1 (rooms of 2) within "
    assert report.answer.sentence.startswith(words)
    last = report.steps[-1]
    assert (last.verdict, last.ready, last.lost) == ("pass", 4, 0)
    assert last.received
    assert last.figures["sale:p99<60s"] is not None
    assert last.server_loop_lag_p99_ms is not None
    assert report.missing == []
    assert secret not in "".join(path.read_text(errors="replace") for path in run.folder.iterdir())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--ca-file {ca} --token x.y.z", "HTTP 401 The token is not valid"),
        ("--ca-file {ca}", "HTTP 401 A token is needed"),
        ("--token {token}", "certificate not trusted: "),
        ("--ca-file {ca} --token {token} --path /nowhere", "/nowhere: HTTP 404"),
    ],
    ids=["a bad token", "no token", "an unknown authority", "a wrong path"],
)
def test_a_server_that_refuses_the_users_is_one_line_and_exit_code_2(
    capacity: Callable[..., Run], secured: str, authority: Authority, flags: str, words: str
) -> None:
    given = flags.format(ca=authority.trusted, token=token()).split()
    run = capacity("--host", secured, *given, *BOUNDED)
    assert run.wait() == 2
    assert run.error.startswith(f"capacity: cannot connect to {secured}")
    assert words in run.error


def test_a_server_below_a_path_prefix_is_measured(capacity: Callable[..., Run], authority: Authority) -> None:
    with (
        launch("--trusted-proxy", "127.0.0.1") as server,
        nginx(authority.certificate.parent, server.url.removeprefix("ws://"), prefix=True) as proxy,
    ):
        host = f"wss://127.0.0.1:{proxy.port}"
        access = ("--path", "/chat/", "--ca-file", str(authority.trusted))
        run = run_until(capacity, 0, "--host", host, *access, *BOUNDED)
    last = run.report.steps[-1]
    assert (last.verdict, last.ready, last.lost) == ("pass", 4, 0)
    assert run.report.missing[0].startswith(f"no metrics at {host.replace('wss', 'https')}/metrics answered 40")


def test_a_refused_login_of_own_users_ends_the_run_in_its_first_step(
    capacity: Callable[..., Run], secured: str, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "guests.py").write_text(LOGIN)
    flags = ("--locustfile", str(tmp_path / "guests.py"), "--ca-file", str(authority.trusted))
    run = capacity("--host", secured, *flags, "--steps", "4,6,8", *TOLERANT)
    assert run.wait() == 2
    assert run.error == "capacity: no user could join: WS connect failed: HTTP 401"
    assert not (run.folder / "report.json").exists()


def test_all_classes_of_a_locustfile_in_the_current_directory_are_users(
    capacity: Callable[..., Run], server: RunningServer, tmp_path: Path
) -> None:
    """Files in options are relative to the current directory of the run, also for Locust."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "accounts.csv").write_text("user,password\nann,geheim\nbob,geheim\n")
    run = capacity(
        "--host", server.url, "--locustfile", "shop.py", "--credentials", "accounts.csv", *BOUNDED, cwd=tmp_path
    )
    assert run.wait() in {0, 98}, run.errors
    assert (run.report.answer.scenario, run.report.answer.dialect) == ("shop.py", "shop")


def test_users_without_a_chat_need_no_room_and_no_place_in_one(
    capacity: Callable[..., Run], server: RunningServer, tmp_path: Path
) -> None:
    (tmp_path / "mixed.py").write_text(MIXED)
    flags = ("--locustfile", str(tmp_path / "mixed.py"), "--slo", "GET /offers:p99<60s")
    run = run_until(capacity, 0, "--host", server.url, *flags, *BOUNDED)
    last = run.report.steps[-1]
    assert (last.ready, last.lost) == (2, 0)
    assert last.received
    assert last.figures["GET /offers:p99<60s"] is not None


@pytest.mark.parametrize(
    ("text", "mix", "error"),
    [
        (SHOP, "Buyer=1,Selller=1", "--mix: no user class Selller in own.py"),
        (
            "price = int('free')",
            "",
            "--locustfile own.py: ValueError: invalid literal for int() with base 10: 'free' (line 1)",
        ),
        ("import stampede", "", "--locustfile own.py: No User class found!"),
        (SHOP.replace("/ws/chat", "/other"), "", "HTTP 404"),
    ],
    ids=["an unknown class", "an exception", "no class", "a dialect that the bundled server lacks"],
)
def test_an_unusable_locustfile_is_one_line_and_exit_code_2(
    capacity: Callable[..., Run], tmp_path: Path, text: str, mix: str, error: str
) -> None:
    (tmp_path / "own.py").write_text(text)
    flags = ("--mix", mix) if mix else ()
    run = capacity("--locustfile", str(tmp_path / "own.py"), *flags, *BOUNDED)
    assert run.wait() == 2
    assert run.error.startswith("capacity: ")
    assert error in run.error
