"""Whether all members of a room receive messages of different senders in the same order: one server and two."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer
    from tests.stampede.fixtures import WebLocust

TALK = ("--room-size", "20", "--message-rate", "10")
UNORDERED = ("-f", "tests/locustfiles/unordered.py", "UnorderedUser")
USERS = 40


def test_members_on_one_server_receive_all_messages_in_one_order(
    web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    web = web_locust("ChattingUser", "--host", server.url, "--churn-per-minute", "2", *TALK)
    web.post("/swarm", user_count=USERS, spawn_rate=USERS)
    web.until(lambda now: now["order"]["samples"] > 2)
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.order()["compared"] > USERS
    assert ended.order()["divergent"] == 0


def test_members_on_two_workers_diverge_and_the_run_is_not_failed_by_it(
    web_locust: Callable[..., WebLocust],
    start: Callable[..., RunningServer],
    record_property: Callable[[str, object], None],
) -> None:
    """Each worker delivers a message to its own members before the bus brings it to the others."""
    server = start("--workers", "2")
    web = web_locust(*UNORDERED, "--host", server.url, *TALK)
    web.post("/swarm", user_count=USERS, spawn_rate=USERS)
    web.until(lambda now: now["order"]["divergent"])
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.ended_with(0), ended.out + ended.log
    ledger, order = ended.ledger(), ended.order()
    assert ledger["received"] == ledger["expected"] > 0
    assert (ledger["lost"], ledger["duplicated"], ledger["reordered"]) == (0, 0, 0)
    assert order["compared"] >= order["divergent"] > 0
    assert "no fault by itself: the dialect promises no common order" in ended.out
    record_property("proved", f"two workers: {order['divergent']} of {order['compared']} members diverge")
