"""The rooms of a user: left, refused and joined again, over reconnects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede.client.sender import Sender
from stampede.dialects.base import Dialect
from stampede.measure import request_names
from stampede.measure.storm import Manner
from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.errors import ClientError
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from tests.stampede.connections import until
from tests.stampede.pool.fake_user import FakeUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stampede.dialects.base import Conversation
    from tests.processes import RunningServer


HOUR_NS = 3600 * 10**9


class SelectiveUser(FakeUser):
    """A user that joins over HTTP, and may not join some rooms."""

    def prepare_join(self, room: str, conversation: Conversation) -> bool:
        if room == "private":
            raise ClientError("join refused")
        return True


@pytest.fixture
def make_pool(server: RunningServer) -> Iterator[Callable[..., UserPool]]:
    """Return a function that makes a pool of users in some rooms each."""
    pools: list[UserPool] = []

    def make(rooms: int = 1, dialect: Dialect | None = None) -> UserPool:
        settings = PoolSettings(RoomPlan(rooms, None, rooms), Partition(0, 1), message_bytes=100, seed=1)
        pools.append(UserPool(settings, resolve(f"{server.url}/"), iter(()), dialect))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
        assert list(pool.faults) == []


def test_a_user_that_has_left_its_room_reconnects_once(
    make_pool: Callable[..., UserPool], server: RunningServer
) -> None:
    pool = make_pool()
    session = pool.add_user(SelectiveUser())
    session.connect()
    assert session.leave(None)
    session.drop(Manner.ABRUPT)
    until(lambda: session.connection.connection is not None)
    assert session.rooms == []
    assert session.join("room-0")
    assert session.connection.is_ready
    assert server.samples()["chat_connections_opened_total"] == 2


def test_only_new_users_wait_while_messages_are_late_and_the_wait_is_not_timed(
    make_pool: Callable[..., UserPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, waits = make_pool(), []

    def wait(_pool: UserPool) -> int:
        waits.append(HOUR_NS)
        return HOUR_NS

    monkeypatch.setattr(UserPool, "wait_until_on_time", wait)
    session = pool.add_user(FakeUser())
    session.connect()
    session.drop(Manner.ABRUPT)
    until(lambda: pool.measures.requests[request_names.CONNECT].times.count == 2)
    assert waits == [HOUR_NS]
    first = pool.measures.requests[request_names.CONNECT].times.quantile(0.5)
    assert first is not None
    assert first < HOUR_NS / 2


def test_a_user_of_several_rooms_is_ready_when_it_is_in_all_of_them(
    make_pool: Callable[..., UserPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queued messages are sent to all rooms once, not when the first join is confirmed."""
    session = make_pool(3, Dialect()).add_user(SelectiveUser())
    joined: list[int] = []
    monkeypatch.setattr(Sender, "send_queued", lambda *_: joined.append(len(session.connection.handler.memberships)))
    session.connect()
    assert joined == [3]
    assert session.connection.is_ready


def test_a_refused_room_leaves_the_user_in_its_other_rooms(make_pool: Callable[..., UserPool]) -> None:
    pool = make_pool(2, Dialect())
    session = pool.add_user(SelectiveUser())
    session.connect()
    assert not session.join("private")
    assert session.rooms == ["room-0", "room-1"]
    assert session.connection.is_ready
    assert pool.measures.requests[request_names.JOIN].failures == {"join refused": 1}
    assert session.join("lobby")
    assert session.rooms == ["room-0", "room-1", "lobby"]
