"""Users of a FastAPI service: login, rooms and sending over HTTP, receiving over a WebSocket; an exact ledger."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.metrics.fixtures import wait_until
from tests.scenarios_page import locustfile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.promises.rest_fixtures import RestService
    from tests.stampede.fixtures import Locust, WebLocust

USER_FILE = "tests/locustfiles/rest_user.py"
USERS, ROOMS, ROOMS_PER_USER = 20, 10, 5
ROOM_FLAGS = ("--rooms", str(ROOMS), "--rooms-per-user", str(ROOMS_PER_USER))


@pytest.fixture
def load(web_locust: Callable[..., WebLocust]) -> Callable[[RestService], WebLocust]:
    """Start the load on a service and wait until all users are in their rooms."""

    def start(service: RestService) -> WebLocust:
        web = web_locust("--host", service.host, "-f", USER_FILE, *ROOM_FLAGS)
        web.post("/swarm", user_count=USERS, spawn_rate=USERS)
        web.until(lambda now: now["ready"] == USERS)
        return web

    return start


def ended(web: WebLocust) -> Any:
    """Stop the load and return the last snapshot."""
    web.post("/stop")
    return web.until(lambda now: now["state"] == "stopped")


@pytest.mark.parametrize("echo", [False, True], ids=["to the others", "to the sender, too"])
def test_the_ledger_of_users_in_five_rooms_each_is_what_the_service_counts(
    load: Callable[[RestService], WebLocust],
    service: Callable[..., RestService],
    monkeypatch: pytest.MonkeyPatch,
    *,
    echo: bool,
) -> None:
    if echo:
        monkeypatch.setenv("REST_ECHO", "yes")
    running = service(*(["--echo"] if echo else []))
    web = load(running)
    now = web.until(lambda now: now["deliveries"]["received"] > 1000)
    assert now["room_size"] == USERS * ROOMS_PER_USER / ROOMS
    now, truth = ended(web), running.counts()
    ledger = now["deliveries"]
    assert ledger["received"] == ledger["expected"] == truth["delivered"]
    assert (ledger["lost"], ledger["duplicated"], ledger["reordered"]) == (0, 0, 0)
    assert now["sends"]["sent"] == truth["messages"]
    assert (truth["logins"], truth["sockets"]) == (USERS, 0)
    stats = {row["name"]: row for row in json.loads(web.get("/stats/requests"))["stats"]}
    assert {name: stats[name]["num_requests"] for name in ("login", "create room", "join room")} == {
        "login": USERS,
        "create room": USERS * ROOMS_PER_USER,
        "join room": USERS * ROOMS_PER_USER,
    }
    assert stats["send message"]["num_requests"] == truth["messages"]
    assert stats["join"]["num_requests"] == USERS


def test_messages_that_the_service_loses_are_lost_in_the_ledger(
    load: Callable[[RestService], WebLocust], service: Callable[..., RestService]
) -> None:
    running = service()
    web = load(running)
    running.request("/lose/10", post=True)
    wait_until(lambda: running.counts().get("withheld", 0) > 30, "messages to be lost")
    running.request("/lose/0", post=True)
    ledger, truth = ended(web)["deliveries"], running.counts()
    assert ledger["lost"] == truth["withheld"]
    assert ledger["received"] == truth["delivered"]


def test_an_expired_token_is_renewed_and_nothing_is_lost_silently(
    load: Callable[[RestService], WebLocust], service: Callable[..., RestService]
) -> None:
    """The tokens expire while messages are in flight and being sent."""
    running = service()
    web = load(running)
    web.until(lambda now: now["deliveries"]["received"] > 200)
    running.request("/expire", post=True)
    wait_until(lambda: running.counts()["logins"] == 2 * USERS, "all users to log in again")
    again = web.until(lambda now: now["ready"] == USERS)["deliveries"]["received"]
    web.until(lambda now: now["deliveries"]["received"] > again + 200)
    now, truth = ended(web), running.counts()
    ledger, sends = now["deliveries"], now["sends"]
    assert ledger["received"] + ledger["lost"] == ledger["expected"]
    assert (ledger["lost"], ledger["duplicated"], ledger["reordered"]) == (0, 0, 0)
    assert sends["sent"] == truth["messages"]
    assert sends["intended"] == sends["sent"] + sends["skipped"]
    assert now["requests"]["WS connect"]["reasons"] == {"connection lost: 4401": USERS}


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_users_log_in_with_the_rows_of_a_credentials_file(
    locust: Callable[..., Locust], service: Callable[..., RestService], tmp_path: Path, password: str
) -> None:
    running, file = service(), tmp_path / "accounts.csv"
    suffix = "" if password == "right" else "!"
    file.write_text("user,password\n" + "".join(f"user {n},secret of user {n}{suffix}\n" for n in range(4)))
    flags = ("-f", USER_FILE, "-u", "4", "-r", "4", "--rooms", "2", "--rooms-per-user", "2", "--credentials", str(file))
    run = locust("--headless", "--host", running.host, "-t", "60s", *flags)
    key, enough = ("messages", 4) if password == "right" else ("rejected", 1)
    done = run.stop_once(lambda: running.counts().get(key, 0) >= enough, traceback=password == "wrong")
    assert running.counts().get("logins", 0) == (4 if password == "right" else 0)
    if password == "wrong":
        assert done.code == 98, done.out + done.log
        assert re.search("user code: exception in user code, [0-9]+ times", done.out)
        assert "no user joined a room; most often: login failed" in done.out
        assert done.log.count("Traceback") == 1


def test_the_example_of_the_documentation_runs(
    locust: Callable[..., Locust], service: Callable[..., RestService], tmp_path: Path
) -> None:
    running, file = service(), tmp_path / "accounts.csv"
    file.write_text("user,password\n" + "".join(f"user {n},secret of user {n}\n" for n in range(6)))
    rooms = ("--rooms", "10", "--rooms-per-user", "5", "--credentials", str(file))
    flags = ("-f", locustfile(tmp_path, "Member"), "-u", "6", "-r", "6", "-t", "60s", *rooms)
    run = locust("--headless", "--host", running.host, *flags)
    done = run.stop_once(lambda: running.counts().get("delivered", 0) > 100)
    assert done.ended_with(0), done.out + done.log
    ledger, truth = done.ledger(), running.counts()
    assert ledger["received"] == ledger["expected"] == truth["delivered"]
    assert (ledger["lost"], ledger["sent"]) == (0, truth["messages"])
