"""A test notices the workers of the load generator that leave or join, and names them."""

from __future__ import annotations

from typing import Any

import pytest

from capacity.errors import RunError
from capacity.measure.workers import Connection, LostWorkerError, Roster, parse_connections, worker_name
from tests.capacity.measure.test_client_window import snapshot, worker

IDS = ("a_1", "b_2")


def of_host(host: str, index: int, **figures: Any) -> dict[str, Any]:
    return worker(id=f"{host}_{index + 1}", index=index, host=host, **figures)


def lost(seconds: float = 10.0, **figures: Any) -> LostWorkerError:
    with pytest.raises(LostWorkerError) as caught:
        Roster(IDS).check(snapshot(**figures), seconds)
    return caught.value


def test_a_complete_test_has_lost_nobody() -> None:
    Roster(IDS).check(snapshot(workers=[of_host("a", 0), of_host("b", 1)]), 10.0)


def test_a_worker_that_ended_is_named() -> None:
    error = lost(workers=[of_host("a", 0), of_host("b", 1, state="ended")])
    assert str(error) == "load generator worker 1 on b ended"
    assert error.worker == "load generator worker 1 on b"


def test_a_worker_without_heartbeat_is_named_with_the_age_of_its_last_report() -> None:
    error = lost(workers=[of_host("a", 0)], dead_workers=[of_host("b", 1, state="missing", age_s=5.2)])
    assert str(error) == "load generator worker 1 on b last reported 5 s ago"


def test_a_worker_that_joined_is_named_after_the_one_that_it_replaces() -> None:
    joined = worker(id="c_3", index=2, host="c")
    assert str(lost(workers=[of_host("a", 0), of_host("b", 1), joined])) == (
        "load generator worker 2 on c joined during the test"
    )
    ended = of_host("b", 1, state="ended")
    assert str(lost(workers=[joined, of_host("a", 0), ended])) == "load generator worker 1 on b ended"


def test_a_worker_that_never_reports_is_named_after_some_seconds() -> None:
    only_one: dict[str, Any] = {"workers": [of_host("a", 0)]}
    Roster(IDS).check(snapshot(**only_one), 1.0)
    assert str(lost(9.0, **only_one)) == (
        "the load generator worker on b has not reported within 9 s of the start of its users"
    )


def test_a_worker_whose_users_cannot_run_is_named_with_the_reason() -> None:
    failed = of_host("b", 1, failure="--ca-file ca.pem: No such file or directory")
    with pytest.raises(RunError) as caught:
        Roster(IDS).check(snapshot(workers=[of_host("a", 0), failed]), 10.0)
    assert str(caught.value) == (
        "load generator worker 1 on b cannot run its users: --ca-file ca.pem: No such file or directory"
    )


def test_an_older_worker_is_named_by_its_id() -> None:
    assert str(lost(workers=[of_host("a", 0), worker(id="b_2", index=1, state="ended")])) == (
        "load generator worker 1 on b ended"
    )


def test_a_single_worker_is_the_load_generator() -> None:
    assert worker_name(0, "a", of=1) == "the load generator"
    assert worker_name(3, "", of=4) == "load generator worker 3"


def test_the_connected_workers_are_those_of_locusts_table() -> None:
    assert parse_connections(b'{"workers": [{"id": "host-b_12ab", "state": "ready"}]}') == [
        Connection("host-b_12ab", "ready")
    ]
    assert parse_connections(b"{}") == []
    assert Connection("host_b_12ab", "ready").host == "host_b"
