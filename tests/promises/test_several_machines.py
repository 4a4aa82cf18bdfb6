"""A master and workers that are started one by one, as on several machines: every message is counted exactly once."""

from __future__ import annotations

import re
import signal
import urllib.request
from typing import TYPE_CHECKING

from tests.metrics.pages import series
from tests.ports import free_port
from tests.stampede.fixtures import has_delivered

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust, WebLocust

CHAT = 'chat_messages_{}_total{{type="chatMessage"}}'


def test_a_master_and_two_workers_count_exactly_what_the_server_counts(
    locust: Callable[..., Locust], server: RunningServer
) -> None:
    port = str(free_port())
    flags = ("ChattingUser", "-u", "120", "-r", "120", "--room-size", "10", "--host", server.url)
    master = locust("--headless", "--master", "--master-bind-port", port, "--expect-workers", "2", *flags)
    workers = [locust("--worker", "--master-port", port) for _ in range(2)]
    ended = master.stop_once(has_delivered(server, 1000, joins=120))
    assert [worker.wait().code for worker in workers] == [0, 0]
    ledger, table, counted = ended.ledger(), ended.requests(), server.samples()
    assert ended.ended_with(0), ended.out + ended.log
    assert ledger["expected"] == ledger["received"] == counted[CHAT.format("delivered")] == table["deliver"][0] > 0
    assert ledger["sent"] == counted[CHAT.format("received")] == table["send"][0] > 0
    assert table["connect"] == table["join"] == (120, 0)
    assert "in each of 2" in ended.out


def test_a_worker_that_joins_during_a_test_has_its_own_rooms_and_users(
    locust: Callable[..., Locust], web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    port = str(free_port())
    exporter = free_port()
    flags = ("--room-size", "10", "--message-rate", "5", "--prometheus-port", str(exporter), "ChattingUser")
    web = web_locust("--master", "--master-bind-port", port, "--host", server.url, *flags)
    workers = [locust("--worker", "--master-port", port)]
    web.until(lambda _: ready_workers(exporter) == 1)
    web.post("/swarm", user_count=40, spawn_rate=40)
    web.until(lambda now: now["ready"] == 40 and now["deliveries"]["received"] > 100)
    workers.append(locust("--worker", "--master-port", port))
    # If two workers used the same room, the server would have fewer rooms.
    both = web.until(
        lambda now: (
            now["ready"] == now["users"] == 40
            and [one["users"] for one in now["workers"]] == [20, 20]
            and now["room_size"] == 10.0
            and server.samples()["chat_rooms"] == 4.0
        )
    )
    web.until(lambda now: now["deliveries"]["received"] > both["deliveries"]["received"] + 500)
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert [worker.wait().code for worker in workers] == [0, 0]
    assert ended.ended_with(0), ended.out + ended.log
    ledger, counted = ended.ledger(), server.samples()
    assert ledger["received"] == ledger["expected"]
    assert (ledger["lost"], ledger["duplicated"]) == (0, 0)
    assert ledger["sent"] == counted[CHAT.format("received")]
    assert counted[CHAT.format("delivered")] >= ledger["received"]  # except what was in flight to users that moved
    assert of_another_run(ended.out) == 0
    assert "joined during the test" in ended.log


def of_another_run(summary: str) -> int:
    """Return how many deliveries of another run the summary reports."""
    found = re.search(r"(\d+) of another run", summary)
    return int(found[1]) if found else 0


def ready_workers(exporter: int) -> float:
    """Return how many idle workers the master has."""
    with urllib.request.urlopen(f"http://127.0.0.1:{exporter}/metrics", timeout=30) as answer:
        return series(answer.read())['locust_workers{state="ready"}']
