"""The examples of `docs/scenarios.md` run as they are written there; `test_rest_service.py` has that of the service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stampede.client.client import ChatClient
from tests.scenarios_page import locustfile
from tests.stampede.fixtures import has_delivered
from tests.tables import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust


def test_the_example_with_tasks_runs(locust: Callable[..., Locust], server: RunningServer, tmp_path: Path) -> None:
    flags = ("-f", locustfile(tmp_path, "SupportAgent"), "-u", "20", "-r", "20", "--room-size", "5", "-t", "60s")
    run = locust("--headless", "--host", server.url, *flags)
    ended = run.stop_once(lambda: has_delivered(server, 40)() and uploads(server) > 0 and pings(server) > 0)
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.ledger()["received"] == ended.ledger()["expected"] > 0
    assert "look around" in ended.out


def test_the_examples_with_schedules_run(locust: Callable[..., Locust], server: RunningServer, tmp_path: Path) -> None:
    flags = ("-f", locustfile(tmp_path, "Greeter"), "-u", "12", "-r", "12", "--room-size", "6", "-t", "60s")
    run = locust("--headless", "--host", server.url, *flags)
    ended = run.stop_once(lambda: has_delivered(server, 60)() and uploads(server) > 1 and notices(server) == 4)
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.ledger()["received"] == ended.ledger()["expected"] > 0
    assert ended.requests()["typing"] == (4, 0)  # one of each Greeter


def uploads(server: RunningServer) -> float:
    return server.samples()['chat_uploads_total{outcome="saved"}']


def pings(server: RunningServer) -> float:
    return server.samples()['chat_messages_received_total{type="ping"}']


def notices(server: RunningServer) -> float:
    return server.samples()['chat_messages_received_total{type="typing"}']


def test_the_table_lists_the_methods_of_the_client() -> None:
    cells = [row[0] for row in rows("docs/scenarios.md", "### The chat client")]
    listed = {name.strip("` ") for cell in cells for name in re.sub(r"\([^)]*\)", "", cell).split(",")}
    public = {name for name in dir(ChatClient) if not name.startswith("_")} - {"due"}
    assert listed == public
