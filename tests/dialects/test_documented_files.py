"""The files of the documentation against the servers that they describe."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from stampede import LoadGenerator, StampedeError
from tests.dialects.load import VARIANT_SECONDS, carry, survive_a_restart, survive_a_storm
from tests.metrics.fixtures import wait_until
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.dialects.fixtures import StartReal
    from tests.promises.rest_fixtures import RestService
    from tests.stampede.fixtures import Locust, WebLocust

FOLDER = ROOT / "docs" / "dialects"
FASTAPI = str(FOLDER / "fastapi-chat.toml")
DJANGO = str(FOLDER / "django-channels-chat.toml")
REST = FOLDER / "rest-chat.toml"
# FastAPI's documented chat logs a traceback when it sends to a connection that is just closing.
MESSAGE_RATE = "0.2"  # daphne needs 2 ms of CPU for a delivery
CHATS = [("fastapi", FASTAPI, ["--skip-closed"]), ("django-channels", DJANGO, [])]


USERS, ROOMS, ROOMS_PER_USER = 20, 10, 5


@pytest.mark.parametrize("file", [FASTAPI, DJANGO])
def test_a_documented_chat_needs_at_most_fifteen_lines(file: str) -> None:
    lines = (ROOT / file).read_text().splitlines()
    assert len(lines) <= 15


@pytest.mark.parametrize(("name", "file", "options"), CHATS)
def test_a_documented_chat_carries_a_load_without_a_lost_delivery(
    locust: Callable[..., Locust], start_real: StartReal, name: str, file: str, options: list[str]
) -> None:
    server = start_real(name, *options)
    server.expects_problems = file == DJANGO  # daphne logs a send to a connection that is just closing
    carry(locust, server, "--dialect", file, "--message-rate", MESSAGE_RATE)
    server.wait_for_counts(clients=0, members=0)


@pytest.mark.parametrize(("name", "file", "options"), CHATS)
def test_users_of_a_documented_chat_come_back_after_a_storm(
    start_real: StartReal, name: str, file: str, options: list[str]
) -> None:
    server = start_real(name, *options)
    server.expects_problems = file == DJANGO
    survive_a_storm(server, file)


@pytest.mark.parametrize(("name", "file", "options"), CHATS)
def test_users_of_a_documented_chat_come_back_to_a_restarted_server(
    start_real: StartReal, name: str, file: str, options: list[str]
) -> None:
    server = start_real(name, *options)
    server.expects_problems = file == DJANGO
    survive_a_restart(server, file)


def test_the_senders_private_copy_is_no_duplicate(start_real: StartReal) -> None:
    server = start_real("fastapi", "--skip-closed")
    with LoadGenerator(server.url, dialect=FASTAPI) as generator:
        ann, *_ = generator.join("red", users=3)
        for _ in range(5):
            ann.say('a "quoted" text with a slash / and <tags>')
        assert generator.drain(timeout=60)
    ledger = generator.ledger
    assert (ledger.expected, ledger.received, ledger.lost, ledger.duplicated) == (15, 15, 0, 0)
    assert server.counts()["deliveries"] == 15


# --- login, rooms and sending over HTTP ---


def accounts(folder: Path, *, password: str = "secret of ") -> str:  # noqa: S107 # of a test
    """Return a file of accounts."""
    file = folder / "accounts.csv"
    rows = [f"user {number},{password}user {number}" for number in range(USERS)]
    file.write_text("\n".join(["user,password", *rows, ""]))
    return str(file)


def flags(service: RestService, *more: str, file: Path = REST) -> tuple[str, ...]:
    """Return Locust's arguments."""
    rooms = ("--rooms", str(ROOMS), "--rooms-per-user", str(ROOMS_PER_USER))
    load = ("ChattingUser", "-u", str(USERS), "-r", str(USERS), "--message-rate", "2")
    return ("--headless", "--host", service.host.removesuffix("/ws"), "--dialect", str(file), *load, *rooms, *more)


@pytest.mark.parametrize("echo", [False, True], ids=["to the others", "to the sender, too"])
def test_the_ledger_of_a_service_over_http_is_what_the_service_counts(
    locust: Callable[..., Locust], service: Callable[..., RestService], tmp_path: Path, *, echo: bool
) -> None:
    """The file says that senders get no echo; without that, the check before the run discovers it."""
    running, file = service(*(["--echo"] if echo else [])), tmp_path / "rest.toml"
    file.write_text(REST.read_text().replace('self = "no"', 'self = "discover"'))
    run = locust(*flags(running, "--credentials", accounts(tmp_path), file=file))
    done = run.stop_once(lambda: running.counts().get("delivered", 0) > 1000)
    assert done.ended_with(0), done.out + done.log
    ledger, truth = done.ledger(), running.counts()
    checked, discovered = 2, 2  # exchanges of two messages: before the run, and to discover the echo
    extra = checked + discovered
    assert ledger["sent"] == truth["messages"] - extra
    assert ledger["received"] == ledger["expected"] == truth["delivered"] - extra * (1 + echo)
    assert (ledger["lost"], ledger["duplicated"], ledger["reordered"]) == (0, 0, 0)
    assert truth["sockets"] == 0
    posts = done.requests("POST")
    assert posts["login"] == (USERS, 0)
    assert posts["create room"] == (ROOMS, 0)
    assert posts["join room"] == (USERS * ROOMS_PER_USER, 0)
    assert posts["send message"] == (ledger["sent"], 0)
    assert done.requests()["join"] == (USERS, 0)


def test_users_log_in_again_after_their_tokens_have_expired(
    locust: Callable[..., Locust], service: Callable[..., RestService], tmp_path: Path
) -> None:
    """A token that the server refuses is not used again, although it should be good for an hour."""
    running, file = service(), tmp_path / "rest.toml"
    file.write_text(REST.read_text().replace('save = {token = "token"}', 'save = {token = "token"}\nexpires = 3600'))
    run = locust(*flags(running, "--credentials", accounts(tmp_path), file=file))
    wait_until(lambda: running.counts().get("delivered", 0) > 300, "deliveries")
    logins = running.counts()["logins"]
    running.request("/expire", post=True)
    wait_until(lambda: running.counts()["logins"] >= logins + USERS, "all users to log in again")
    again = running.counts()["delivered"] + 300
    done = run.stop_once(lambda: running.counts()["delivered"] > again)
    ledger, truth = done.ledger(), running.counts()
    assert ledger["received"] + ledger["lost"] == ledger["expected"]
    assert (ledger["lost"], ledger["duplicated"], ledger["reordered"]) == (0, 0, 0)
    assert truth["logins"] == logins + USERS
    assert "connection lost: 4401" in done.log


def test_a_login_that_the_service_refuses_is_reported_in_one_line(
    locust: Callable[..., Locust], service: Callable[..., RestService], tmp_path: Path
) -> None:
    running = service()
    done = locust(*flags(running, "--credentials", accounts(tmp_path, password="wrong "))).wait()
    assert done.code == 2
    assert re.search(r"^locust: error: the check of ws://\S+ .*login: HTTP 403", done.log, re.MULTILINE), done.log


def test_logins_that_fail_later_are_counted_by_step_and_status(
    web_locust: Callable[..., WebLocust], service: Callable[..., RestService], tmp_path: Path
) -> None:
    """With the web page, the check before the run is left out: the file says that there is no echo."""
    running = service()
    web = web_locust(*flags(running, "--credentials", accounts(tmp_path, password="wrong "))[1:])
    web.post("/swarm", user_count=2, spawn_rate=2)
    now = web.until(lambda now: now["requests"]["WS connect"]["failures"] >= 4)
    assert set(now["requests"]["WS connect"]["reasons"]) == {"login: HTTP 403"}
    rows = {row["name"]: row for row in json.loads(web.get("/stats/requests"))["stats"]}
    assert rows["login"]["num_failures"] >= 4


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('save = {token = "token"}', 'save = {token = "data.token"}'), "login: no data.token to save in the response"),
        (('http = "POST /login"', 'http = "POST /signin"'), "login: HTTP 404"),
        (('name = "create room"', 'name = "create room"\nexpect = {id = "*"}'), "create room: expected id = *"),
        (('"POST /rooms/{room_name}/members"', '"POST /rooms/none/members"'), "join room: HTTP 404"),
    ],
)
def test_a_request_that_fails_is_named(
    locust: Callable[..., Locust],
    service: Callable[..., RestService],
    tmp_path: Path,
    change: tuple[str, str],
    problem: str,
) -> None:
    running, file = service(), tmp_path / "rest.toml"
    file.write_text(REST.read_text().replace(*change))
    done = locust(*flags(running, "--credentials", accounts(tmp_path), file=file)).wait()
    assert done.code == 2
    assert re.search(rf"^locust: error: .*{re.escape(problem)}", done.log, re.MULTILINE), done.log


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ((), "{password} has no value: give a column password of --credentials, or save it in a step"),
        (("--http-host", "api"), "argument --http-host: 'api' is not a URL such as https://api.example.org"),
        (("--http-host", "http://127.0.0.1:9"), "login: connection refused"),
    ],
)
def test_missing_values_and_a_wrong_host_for_http_end_in_one_line(
    locust: Callable[..., Locust],
    service: Callable[..., RestService],
    tmp_path: Path,
    more: tuple[str, ...],
    problem: str,
) -> None:
    given = ("--credentials", accounts(tmp_path), *more) if more else ()
    done = locust(*flags(service(), *given)).wait()
    assert done.code == 2
    assert problem in done.log.splitlines()[-1]


def test_a_name_of_an_application_is_that_of_its_file(
    locust: Callable[..., Locust], start_real: StartReal, tmp_path: Path
) -> None:
    """A file that extends a built-in dialect: python-socketio confirms the joins."""
    file = tmp_path / "app.toml"
    file.write_text('extends = "socketio"\n[ack]\njoin = true\nsay = true\n[echo]\nself = "no"\n')
    server = start_real("python-socketio")
    ended = carry(locust, server, "--dialect", str(file), "--message-rate", MESSAGE_RATE, run=VARIANT_SECONDS)
    assert ended.requests()["ack"][1] == 0
    assert ended.requests()["join"] == (100, 0)


def test_a_load_generator_refuses_a_file_with_http_requests() -> None:
    with pytest.raises(StampedeError, match="dialect rest-chat: its HTTP requests need users of Locust"):
        LoadGenerator("ws://127.0.0.1:1", dialect=str(REST))
