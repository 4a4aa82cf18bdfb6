"""Every request is timed from its due time, so a wait before it is sent counts (no coordinated omission)."""

from __future__ import annotations

import re
from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent

from stampede.measure import request_names
from stampede.pool.user_pool import CONCURRENT_CONNECTS, PoolSettings, UserPool
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from stampede.workload.schedule import SECOND
from tests.promises.faulty_server import faulty_server
from tests.stampede.client.client_group import ClientGroup
from tests.stampede.connections import TIMEOUT, until
from tests.stampede.pool.fake_user import FakeUser

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from stampede.measure.measures import Request
    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust

LATE = 3 * SECOND


def shortest(request: Request) -> float:
    """Return the shortest time of a request, as exactly as its histogram stores it."""
    smallest = request.times.quantile(0)
    assert smallest is not None
    return smallest * 1.04


def test_a_ping_is_timed_from_its_due_time(group: ClientGroup) -> None:
    request = group.measures.requests[request_names.PING]
    group.member("late").ping_at(monotonic_ns() - LATE)
    until(lambda: request.times.count == 1)
    assert shortest(request) >= LATE


def test_a_ping_that_could_not_be_sent_counts_as_one_failure(group: ClientGroup) -> None:
    client = group.client()
    client.chat.drop()
    client.chat.was_dropped = False
    client.ping()
    client.ping()
    assert group.failures(request_names.PING) == {"dropped: not connected": 2}
    client.chat.open(group.reactor, group.target, client.chat.conversation, TIMEOUT)
    client.ping()
    until(lambda: group.measures.requests[request_names.PING].times.count == 1)
    assert group.failures(request_names.PING) == {"dropped: not connected": 2}


def test_a_ping_while_disconnected_on_purpose_is_no_failure(group: ClientGroup) -> None:
    client = group.client()
    client.chat.is_offline = True
    client.chat.drop()
    client.ping()
    assert group.failures(request_names.PING) == {}


def test_a_ping_without_a_pong_before_the_next_ping_is_a_failure(group: ClientGroup) -> None:
    client = group.client()
    client.ping()
    client.ping()  # nothing has been read in between
    until(lambda: group.measures.requests[request_names.PING].times.count == 1)
    assert group.failures(request_names.PING) == {"no pong": 1}


def test_a_ping_without_a_pong_when_the_connection_is_lost_is_a_failure() -> None:
    with faulty_server(no_pong=True) as server:
        group = ClientGroup(server.url)
        group.member("one").ping()
        server.process.kill()
        until(lambda: group.lost == 1)
        server.process.communicate(timeout=TIMEOUT)
    assert group.failures(request_names.PING) == {"connection lost": 1}
    group.reactor.close()


def test_a_ping_without_a_pong_when_its_user_drops_on_purpose_is_no_failure(group: ClientGroup) -> None:
    client = group.member("one")
    client.ping()
    client.chat.drop()
    assert group.failures(request_names.PING) == {}


def test_an_upload_is_timed_from_its_due_time(group: ClientGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stampede.client.upload._READY_SECONDS", TIMEOUT)
    late = group.member("late")
    late.due = monotonic_ns() - LATE
    assert late.upload(1000)
    assert shortest(group.measures.requests[request_names.UPLOAD]) >= LATE


def test_a_typing_notice_is_timed_from_its_due_time(group: ClientGroup) -> None:
    group.member("late").typing_at(monotonic_ns() - LATE)
    assert shortest(group.measures.requests[request_names.TYPING]) >= LATE


def test_a_connect_that_waits_for_others_is_timed_from_its_due_time(server: RunningServer) -> None:
    """A server that accepts the first connections slowly delays the next ones."""
    settings = PoolSettings(RoomPlan(rooms=1, size=None), Partition(0, 1), message_bytes=100, seed=1)
    pool = UserPool(settings, resolve(f"{server.url}/"), iter(()))
    for _ in range(CONCURRENT_CONNECTS):
        pool.connect_slots.acquire()
    waits = gevent.spawn(pool.add_user(FakeUser()).try_connect)
    gevent.sleep(0.3)
    for _ in range(CONCURRENT_CONNECTS):
        pool.connect_slots.release()
    waits.get(timeout=TIMEOUT)
    pool.add_user(FakeUser()).try_connect(monotonic_ns() - LATE)
    request = pool.measures.requests[request_names.CONNECT]
    assert shortest(request) >= 0.3 * SECOND
    assert (request.times.quantile(1) or 0) * 1.04 >= LATE
    pool.close()
    assert list(pool.faults) == []


SHORT_INTERVAL = """
from loadtest.uploading import FileUploadUser
from stampede import rate
from stampede.client import client

client.UPLOAD_MAX_DELAY = 500_000_000
FileUploadUser.schedule = rate(2)
"""


def test_uploads_that_a_slow_server_delays_are_late_and_then_skipped(
    locust: Callable[..., Locust], tmp_path: Path
) -> None:
    """One upload is due every half second, and the server takes 1.2 s for each; a closed loop would measure 1.2 s."""
    patch = tmp_path / "slow.py"
    patch.write_text(SHORT_INTERVAL)
    with faulty_server(upload_delay=1.2) as server:
        flags = ("FileUploadUser", "-u", "1", "-t", "9s", "--upload-bytes", "1k", "-f", f"{patch},loadtest")
        ended = locust("--headless", "--host", server.url, *flags).wait()
    rows = re.findall(r"^WS +upload +(\d+) +(\d+)\([^|]*\| +(\d+)", ended.log, re.MULTILINE)
    count, failed, mean = map(int, rows[-1])
    assert failed > 0
    assert count - failed > 1
    assert mean > 1250
    assert "skipped: too late" in ended.log
