"""The counts of a watch: lost connections, outages, and users that are dropped more than once."""

from __future__ import annotations

import pytest

from stampede.ledger.room import Room
from stampede.measure.measures import Measures
from stampede.measure.storm_results import StormResult, results
from stampede.measure.watch import Watch

SECOND = 1_000_000_000
REFUSED = "connection lost: 1006"


class Watched:
    """A watch of users that begins at second 10."""

    def __init__(self, users: int) -> None:
        self.room = Room(1, "room-1", Measures().address_pairs)
        self.watch = Watch(1, 10 * SECOND, 4.0, users)

    def lose(self, *seconds: float, cause: str = REFUSED, is_first: bool = True) -> None:
        for at in seconds:
            self.watch.lose(10 * SECOND + round(at * SECOND), cause)
            self.watch.begin_outage(is_first=is_first)

    def resync(self, at: float, after: float) -> None:
        now = 10 * SECOND + round(at * SECOND)
        self.watch.reconnect(now)
        self.watch.resync(now, round(after * SECOND), [], 0)

    def result(self, at: float = 30.0) -> StormResult:
        (result,) = results([self.watch.part(round((10 + at) * SECOND))])
        return result


def test_a_watch_in_which_nobody_is_dropped_is_over_when_it_ends() -> None:
    watched = Watched(3)
    assert not watched.result().over
    watched.watch.end(12 * SECOND)
    result = watched.result()
    assert (result.users, result.dropped, result.resynced, result.outages, result.over) == (3, 0, 0, 0, True)
    assert result.watch is not None
    assert (result.watch.lost, result.watch.first_ns, result.watch.last_ns) == (0, None, None)


def test_a_watch_goes_on_between_two_drops() -> None:
    watched = Watched(2)
    watched.lose(1.0)
    watched.resync(1.5, 0.5)
    assert not watched.watch.over_at
    watched.lose(3.0)
    watched.watch.end(14 * SECOND)
    assert not watched.result().over
    watched.resync(5.0, 2.0)
    result = watched.result()
    assert (result.dropped, result.resynced, result.over) == (2, 2, True)
    assert result.until(1.0) == 2 * SECOND


def test_a_user_that_is_dropped_again_after_its_resync_counts_once_and_has_two_outages() -> None:
    watched = Watched(2)
    watched.lose(1.0)
    watched.resync(2.0, 1.0)
    watched.lose(5.0, is_first=False)
    watched.watch.end(16 * SECOND)
    result = watched.result()
    assert (result.dropped, result.outages, result.resynced, result.over) == (1, 2, 0, False)
    watched.resync(8.0, 3.0)
    result = watched.result()
    assert (result.dropped, result.outages, result.resynced, result.over) == (1, 2, 1, True)
    assert result.until(0.5) == pytest.approx(SECOND, rel=0.03)
    assert result.until(1.0) == 3 * SECOND


def test_lost_connections_are_counted_by_cause_and_by_second() -> None:
    watched = Watched(4)
    watched.lose(0.4, 2.1, 2.9, cause="connection lost: 1012")
    watched.watch.lose(13 * SECOND, REFUSED)  # before its resync: the outage goes on
    watched.resync(3.2, 1.1)
    result = watched.result()
    assert (result.dropped, result.outages) == (3, 3)
    assert result.watch is not None
    assert (result.watch.lost, result.watch.causes) == (4, {"connection lost: 1012": 3, REFUSED: 1})
    assert result.watch.lost_per_second == [1, 0, 2, 1]
    assert result.watch.reconnects_per_second == [0, 0, 0, 1]
    assert (result.watch.first_ns, result.watch.last_ns) == (0.4 * SECOND, 3 * SECOND)


def test_the_watches_of_all_processes_add_up() -> None:
    one, two = Watched(2), Watched(2)
    one.lose(1.2)
    two.lose(0.2, 2.2)
    one.watch.end(13 * SECOND)
    (result,) = results([one.watch.part(14 * SECOND), two.watch.part(14 * SECOND)])
    assert result.watch is not None
    assert (result.watch.is_ended, result.watch.lost_per_second) == (False, [1, 1, 1])
    assert (result.users, result.dropped) == (4, 3)
    assert (result.watch.first_ns, result.watch.last_ns) == (0.2 * SECOND, 2.2 * SECOND)
