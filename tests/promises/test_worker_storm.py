"""A worker is killed during a reconnect storm: all users rejoin their rooms, and no loss goes uncounted."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

from tests.clients import ChatClient
from tests.metrics.fixtures import wait_until
from tests.metrics.pages import series
from tests.server.supervisor.test_supervisor import Workers
from tests.stampede.fixtures import locust, web_locust  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stampede.fixtures import WebLocust

USERS = 120
ROOMS = 12
STOPPED_SECONDS = 0.3


def test_all_users_return_after_a_worker_is_killed_and_messages_in_flight_are_reported(
    web_locust: Callable[..., WebLocust],  # noqa: F811 - the fixture
    record_property: Callable[[str, object], None],
) -> None:
    running = Workers("--workers", "2", "--handshake-rate", "0")
    try:
        web = web_locust("--host", running.url, "--rooms", str(ROOMS), "--message-rate", "2", "ChattingUser")
        web.post("/swarm", user_count=USERS, spawn_rate=USERS)
        web.until(lambda now: now["ready"] == USERS and now["deliveries"]["received"] > 2000)
        assert all(page["chat_connections"] > USERS / 4 for page in running.samples())
        victim = running.children()[0]
        web.post("/stampede/storm", share=0.3)
        os.kill(victim.pid, signal.SIGSTOP)  # so that messages are in flight when it is killed
        sent = web.snapshot()["sends"]["sent"]
        web.until(lambda now: now["sends"]["sent"] > sent + USERS * STOPPED_SECONDS)
        victim.kill()
        wait_until(lambda: workers(running, "chat_worker_restarts_total") == 1, "a restart")
        wait_until(lambda: workers(running, "chat_workers") == 2, "both workers")
        (storm,) = web.until(lambda now: now["ready"] == USERS and now["storms"][0]["over"])["storms"]
        assert (storm["dropped"], storm["resynced"], storm["gone"]) == (36, 36, 0)
        wait_until(lambda: members(running.url) == [USERS // ROOMS] * ROOMS, "all users to be members again")
        assert sum(page["chat_connections"] for page in running.samples()) == USERS
        web.locust.process.send_signal(signal.SIGTERM)
        ended = web.locust.wait()
    finally:
        running.stop()
    ledger = ended.ledger()
    in_flight = re.search(r"not counted: (\d+) in flight when sender or receiver disconnected", ended.out)
    assert in_flight is not None, ended.out
    record_property("proved", f"a worker killed in a storm: {ledger}, {in_flight[0]}")
    assert int(in_flight[1]) > 0
    # Each missing message had an end at the killed worker; no other message is lost.
    assert ledger["received"] == ledger["expected"] > 0
    assert (ledger["lost"], ledger["duplicated"], ledger["reordered"]) == (0, 0, 0)


def workers(running: Workers, metric: str) -> float:
    return series(running.parent_page("/metrics"))[metric]


def members(url: str) -> list[int]:
    """Return the number of members in each room, as `roomJoined` reports it to a new client."""
    counts = []
    with ChatClient(url) as client:
        for room in range(ROOMS):
            client.send("joinRoom", room=f"room-{room}")
            answer = client.receive()
            while answer["type"] != "roomJoined":
                answer = client.receive()
            counts.append(answer["userCount"] - 1)
    return counts
