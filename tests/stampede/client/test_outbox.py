"""What waits to be said: in order, not too much of it, and not for ever."""

from __future__ import annotations

from stampede.client.outbox import MOST, SKIP_AFTER, Outbox


def test_the_oldest_comes_first_with_its_moment_and_its_lag() -> None:
    box = Outbox()
    assert box.next() is None
    assert box.keep(10, 1)
    assert box.keep(20, 2)
    assert (len(box), box.next(), box.next(), box.next()) == (2, (10, 1), (20, 2), None)


def test_it_is_bounded() -> None:
    box = Outbox()
    assert [box.keep(number, 0) for number in range(MOST + 1)].count(True) == MOST
    assert box.clear() == MOST
    assert box.keep(0, 0)


def test_what_was_due_too_long_ago_is_given_up() -> None:
    box = Outbox()
    for intended in (0, 5, 10):
        box.keep(intended, 0)
    assert box.expire(SKIP_AFTER) == 0
    assert box.expire(SKIP_AFTER + 6) == 2
    assert box.next() == (10, 0)
    assert (box.expire(1 << 62), box.clear()) == (0, 0)
