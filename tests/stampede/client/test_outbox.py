"""The outbox is ordered and bounded, and drops messages that are too old."""

from __future__ import annotations

from stampede.client.outbox import CAPACITY, MAX_AGE, Outbox, QueuedMessage


def message(intended: int, lag: int = 0) -> QueuedMessage:
    return QueuedMessage(intended, lag, b"", None)


def test_the_oldest_message_is_popped_first_with_its_due_time_and_lag() -> None:
    box = Outbox()
    assert box.pop() is None
    assert box.push(message(10, 1))
    assert box.push(message(20, 2))
    assert (len(box), box.pop(), box.pop(), box.pop()) == (2, message(10, 1), message(20, 2), None)


def test_a_full_outbox_refuses_messages() -> None:
    box = Outbox()
    assert [box.push(message(number)) for number in range(CAPACITY + 1)].count(True) == CAPACITY
    assert box.clear() == CAPACITY
    assert box.push(message(0))


def test_messages_that_are_too_old_expire() -> None:
    box = Outbox()
    for intended in (0, 5, 10):
        box.push(message(intended))
    assert box.expire(MAX_AGE) == 0
    assert box.expire(MAX_AGE + 6) == 2
    assert box.pop() == message(10)
    assert (box.expire(1 << 62), box.clear()) == (0, 0)
