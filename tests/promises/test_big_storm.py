"""A storm of five thousand users in two workers: all resync, and the counts agree with the server's."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import wait_until
from tests.stampede.fixtures import storm_is_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer
    from tests.stampede.fixtures import WebLocust

USERS = 5000
ROOM = 20
TIMEOUT = 250
CHAT = 'chat_messages_{}_total{{type="chatMessage"}}'


@pytest.mark.timeout(600)
def test_five_thousand_users_dropped_at_once_all_resync(
    web_locust: Callable[..., WebLocust], start: Callable[..., RunningServer]
) -> None:
    server = start("--handshake-rate", "0")
    flags = ("--processes", "2", "--room-size", str(ROOM), "--message-rate", "0.05")
    web = web_locust("--host", server.url, *flags, "ChattingUser")
    web.locust.timeout = TIMEOUT
    web.post("/swarm", user_count=USERS, spawn_rate=1000)
    web.until(lambda now: now["ready"] == USERS)
    opened = server.samples()["chat_connections_opened_total"]
    web.post("/stampede/storm", share=1)
    now = web.until(partial(storm_is_over, USERS))
    (storm,) = now["storms"]
    assert (storm["users"], storm["dropped"], storm["resynced"], storm["gone"]) == (USERS, USERS, USERS, 0)
    counted = server.samples()
    failed = now["requests"]["WS connect"]["failures"] + now["requests"]["WS join"]["failures"]
    assert USERS <= counted["chat_connections_opened_total"] - opened <= USERS + failed
    assert counted["chat_connections"] == USERS
    assert server.closed()["vanished"] >= USERS
    assert storm["peak_accepts_per_second"] <= USERS
    assert storm["resync_ns"]["0.5"] <= storm["resync_ns"]["0.95"] <= storm["resync_ns"]["1"]
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    print(ended.out)
    ledger, counted = ended.ledger(), server.samples()
    assert f"{USERS} of {USERS}" in ended.out
    assert ledger["received"] == ledger["expected"]
    assert counted[CHAT.format("received")] == ledger["sent"]
    wait_until(lambda: server.samples()["chat_connections"] == 0, "the server to read every end")
