"""The commands and files on the pages in docs/dialects work with the real servers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.dialects.load import carry
from tests.dialects.pages import CHECK, FOLDER, LOCUST, blocks, check, commands
from tests.stampede.fixtures import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.dialects.fixtures import StartReal
    from tests.dialects.real_server import RealServer
    from tests.promises.rest_fixtures import RestService
    from tests.stampede.fixtures import Locust

TOKEN = ("--token", "s3cret")
PATIENT = ("--timeout", str(TIMEOUT))

SERVERS = {
    "socketio": ("socket.io", TOKEN),
    "signalr": ("signalr-text", TOKEN),
    "actioncable": ("action-cable", TOKEN),
    "stomp": ("rabbitmq", ()),
    "mqtt": ("mosquitto", ()),
    "phoenix": ("phoenix", (*TOKEN, "--say-event", "shout")),
    "graphql-ws": ("graphql-ws", TOKEN),
    "centrifugo": ("centrifugo", TOKEN),
    "pusher": ("pusher", (*TOKEN, "--key", "my-app-key", "--sign-path", "/broadcasting/auth")),
}
"""The server of a dialect's page, and its flags for the file on the page."""


@pytest.fixture
def start(start_real: StartReal, request: pytest.FixtureRequest) -> StartReal:
    """Start a server; RabbitMQ is shared."""

    def start_or_share(name: str, *flags: str) -> RealServer:
        if name != "rabbitmq":
            return start_real(name, *flags)
        shared: RealServer = request.getfixturevalue("rabbitmq")
        return shared

    return start_or_share


def passes(arguments: list[str], server: RealServer, folder: Path) -> None:
    done = check([*arguments, *PATIENT], server.url, folder)
    assert done.code == 0, done.out + done.err
    server.wait_for_counts(clients=0, members=0)


@pytest.mark.parametrize("name", SERVERS)
def test_the_check_on_a_page_passes(name: str, start: StartReal, tmp_path: Path) -> None:
    (arguments,) = commands(f"{name}.md", CHECK)
    passes(arguments, start(SERVERS[name][0]), tmp_path)


@pytest.mark.parametrize("name", SERVERS)
def test_the_file_on_a_page_works(name: str, start: StartReal, tmp_path: Path) -> None:
    (tmp_path / "chat.toml").write_text(blocks(f"{name}.md", "toml")[0])
    server, flags = SERVERS[name]
    passes(["--dialect", "chat.toml", *(TOKEN if TOKEN[0] in flags else ())], start(server, *flags), tmp_path)


def test_the_file_that_sends_to_pusher_over_http_works(start_real: StartReal, tmp_path: Path) -> None:
    _, block = blocks("pusher.md", "toml")
    (tmp_path / "chat.toml").write_text(block)
    passes(["--dialect", "chat.toml", *TOKEN], start_real("pusher", *TOKEN), tmp_path)


@pytest.mark.parametrize(("name", "flags"), [("fastapi", ["--skip-closed"]), ("django-channels", [])])
def test_the_check_of_a_documented_chat_passes(name: str, flags: list[str], start_real: StartReal) -> None:
    server = start_real(name, *flags)
    server.expects_problems = name == "django-channels"  # daphne logs a send to a connection that is just closing
    (arguments,) = [found for found in commands("chats.md", CHECK) if name in found[1]]
    done = check([*arguments, *PATIENT], server.url)
    assert done.code == 0, done.out + done.err
    server.wait_for_counts(clients=0, members=0)


def test_the_check_of_the_reference_passes(start_real: StartReal) -> None:
    server = start_real("acme", *TOKEN)
    (arguments,) = commands("template.md", CHECK)
    done = check([*arguments, *PATIENT], server.url)
    assert done.code == 0, done.out + done.err


def test_the_dialect_in_python_carries_a_load(
    locust: Callable[..., Locust], start_real: StartReal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_real("acme", *TOKEN, "--ping-seconds", "4")
    (block,) = blocks("python.md", "python")
    (tmp_path / "acme_dialect.py").write_text(block)
    (arguments,) = commands("python.md", CHECK)
    passes(arguments, server, tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ended = carry(locust, server, *arguments)
    requests = ended.requests()
    assert requests["ack"] == requests["send"]
    server.wait_for_counts(clients=0, members=0)


def test_the_service_over_http_passes(
    locust: Callable[..., Locust], service: Callable[..., RestService], tmp_path: Path
) -> None:
    running = service()
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("".join(["user,password\n", *(f"user {n},secret of user {n}\n" for n in range(20))]))
    (checked,), (arguments,) = commands("rest.md", CHECK), commands("rest.md", LOCUST)
    checked, arguments = (
        [str(accounts) if part == accounts.name else part for part in one] for one in (checked, arguments)
    )
    (threshold,) = re.findall(r"--threshold '(.+)'", (FOLDER / "rest.md").read_text())
    host = running.host.removesuffix("/ws")
    done = check([*checked, *PATIENT], host)
    assert done.code == 0, done.out + done.err
    run = locust(*arguments, "--headless", "--host", host, "--threshold", threshold.replace("200ms", "100s"))
    ended = run.stop_once(lambda: running.counts().get("delivered", 0) > 1000)
    assert ended.ended_with(0), ended.out + ended.log
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] > 0
    assert threshold.partition(":")[0] in ended.out
